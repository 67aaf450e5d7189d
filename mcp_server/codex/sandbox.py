"""Sandbox policies: the mode that a request names, Codex's SandboxPolicy on the wire, and the form in rollouts."""

from __future__ import annotations

from typing import Any

from mcp_server.models.thread import SandboxMode

_WIRE_TYPES = {
    "read-only": "readOnly",
    "workspace-write": "workspaceWrite",
    "danger-full-access": "dangerFullAccess",
    "external-sandbox": "externalSandbox",
}
_ROLLOUT_TYPES = {wire: rollout for rollout, wire in _WIRE_TYPES.items()}
_WIRE_FIELDS = {
    "network_access": "networkAccess",
    "writable_roots": "writableRoots",
    "exclude_tmpdir_env_var": "excludeTmpdirEnvVar",
    "exclude_slash_tmp": "excludeSlashTmp",
}
_ROLLOUT_FIELDS = {wire: rollout for rollout, wire in _WIRE_FIELDS.items()}

# Codex keeps these read-only below a writable cwd, so that an agent can't change its own rules.
_PROTECTED = (".git", ".agents", ".codex", ".aws")

READ_ONLY: dict[str, Any] = {"type": "readOnly", "networkAccess": False}


def sandbox_of_mode(mode: SandboxMode) -> dict[str, Any]:
    """The policy that a mode stands for, with Codex's defaults."""
    match mode:
        case "read-only":
            return dict(READ_ONLY)
        case "workspace-write":
            return {
                "type": "workspaceWrite",
                "writableRoots": [],
                "networkAccess": False,
                "excludeTmpdirEnvVar": False,
                "excludeSlashTmp": False,
            }
        case "danger-full-access":
            return {"type": "dangerFullAccess"}


def sandbox_from_rollout(policy: Any) -> dict[str, Any]:
    """The wire form of a recorded policy. Older versions of Codex wrote a bare word, 0.40 to 0.46 wrote `mode` in place
    of `type`. A policy that can't be read counts as read-only."""
    if isinstance(policy, str):
        policy = {"type": policy}
    match policy:
        case {"type": str(kind)} | {"mode": str(kind)} if kind in _WIRE_TYPES:
            fields = {str(name): value for name, value in policy.items() if name not in ("type", "mode")}
            return {"type": _WIRE_TYPES[kind], **{_WIRE_FIELDS.get(name, name): v for name, v in fields.items()}}
        case _:
            return dict(READ_ONLY)


def sandbox_to_rollout(policy: dict[str, Any]) -> dict[str, Any]:
    """The form that Codex writes into `turn_context`."""
    rest = {_ROLLOUT_FIELDS.get(k, k): v for k, v in policy.items() if k != "type"}
    return {"type": _ROLLOUT_TYPES.get(policy["type"], "read-only"), **rest}


def permission_profile(policy: dict[str, Any], cwd: str) -> dict[str, Any]:
    """The policy as Codex's permission profile. Without one, Codex skips all recorded settings.

    On resume, Codex 0.169.0 takes over `disabled` and the read-only profile. Instead of any other it uses its own
    configuration, even in threads that it wrote itself.
    """
    network = "enabled" if policy.get("networkAccess") in (True, "enabled") else "restricted"
    match policy["type"]:
        case "dangerFullAccess":
            return {"type": "disabled"}
        case "externalSandbox":
            return {"type": "external", "network": network}
        case "workspaceWrite":
            entries = _workspace_entries(policy, cwd)
        case _:
            entries = [_special("root", "read")]
    return {"type": "managed", "file_system": {"type": "restricted", "entries": entries}, "network": network}


def _workspace_entries(policy: dict[str, Any], cwd: str) -> list[dict[str, Any]]:
    entries = [_special("root", "read"), _path(cwd, "write")]
    if not policy.get("excludeSlashTmp"):
        entries.append(_special("slash_tmp", "write"))
    if not policy.get("excludeTmpdirEnvVar"):
        entries.append(_special("tmpdir", "write"))
    entries += [_path(root, "write") for root in policy.get("writableRoots") or ()]
    guarded = [f"{cwd.rstrip('/')}/{name}" for name in _PROTECTED]
    return entries + [{**_path(path, "read"), "missing_path_behavior": "skip"} for path in guarded]


def _special(kind: str, access: str) -> dict[str, Any]:
    return {"path": {"type": "special", "value": {"kind": kind}}, "access": access}


def _path(path: str, access: str) -> dict[str, Any]:
    return {"path": {"type": "path", "path": path}, "access": access}
