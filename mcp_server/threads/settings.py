"""Resolves a thread's settings: from the request, else its parent, else the home's config.toml, else our defaults."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from mcp_server.codex.sandbox import READ_ONLY, sandbox_of_mode
from mcp_server.errors import InvalidArgument
from mcp_server.models.cwd import is_windows_path
from mcp_server.models.params import SettingsRequest
from mcp_server.models.thread import Settings

DEFAULT_PROVIDER = "openai"
DEFAULT_APPROVAL_POLICY = "on-request"


@dataclass(frozen=True)
class Defaults:
    """Settings for what neither request nor thread sets: the home's config.toml, completed by our defaults."""

    cwd: str
    model: str | None = None
    model_provider: str = DEFAULT_PROVIDER
    approval_policy: Any = DEFAULT_APPROVAL_POLICY
    sandbox: dict[str, Any] | None = None
    reasoning_effort: str | None = None

    def settings(self) -> Settings:
        return Settings(
            model=self.model,
            model_provider=self.model_provider,
            cwd=self.cwd,
            approval_policy=self.approval_policy,
            sandbox=self.sandbox or dict(READ_ONLY),
            reasoning_effort=self.reasoning_effort,
        )


def override(base: Settings, request: SettingsRequest) -> Settings:
    """The base settings with those of the request in their place.

    Raises:
        InvalidArgument: the cwd is blank or contains a null byte.
    """
    changes: dict[str, Any] = {
        "model": request.model,
        "model_provider": request.model_provider,
        "cwd": absolute_cwd(request.cwd, base.cwd) if request.cwd is not None else None,
        "approval_policy": request.approval_policy,
        "sandbox": sandbox_of_mode(request.sandbox) if request.sandbox else None,
        "reasoning_effort": request.reasoning_effort,
    }
    return replace(base, **{name: value for name, value in changes.items() if value is not None})


def recorded_settings(base: Settings, recorded: dict[str, Any], cwd: str, model_provider: str) -> Settings:
    """The settings last recorded in a thread, completed by the base settings."""
    known = {name: recorded[name] for name in Settings.__struct_fields__ if recorded.get(name) is not None}
    if cwd:
        known.setdefault("cwd", cwd)
    if model_provider:
        known.setdefault("model_provider", model_provider)
    return replace(base, **known)


def differing(current: Settings, request: SettingsRequest) -> list[str]:
    """The names of the requested settings that differ from the current ones."""
    wanted = override(current, request)
    return [name for name in Settings.__struct_fields__ if getattr(wanted, name) != getattr(current, name)]


def absolute_cwd(cwd: str, base: str) -> str:
    """The cwd as an absolute path, resolved against `base`, without a trailing slash. It need not exist. A Windows path
    is kept as it is: a home copied from Windows has threads with such cwds."""
    if not cwd.strip() or "\0" in cwd:
        raise InvalidArgument("cwd", cwd, "it is blank or contains a null byte", "pass an absolute path")
    if is_windows_path(cwd):
        return cwd
    return os.path.normpath(os.path.join(base, os.path.expanduser(cwd)))  # noqa: PTH111, PTH118
