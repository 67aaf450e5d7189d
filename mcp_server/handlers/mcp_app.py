"""The page as an MCP App: a host that renders apps shows it with the answers of the tools that name it."""

from __future__ import annotations

from typing import Any

from mcp.server.apps import APP_MIME_TYPE, Apps, ResourceCsp
from mcp.server.mcpserver.resources import FileResource

from mcp_server.threads.built_page import FILE

URI = "ui://threadstore/browser"
SHOWN_BY_PAGE: dict[str, Any] = {"ui": {"resourceUri": URI}, "ui/resourceUri": URI}
"""The `_meta` of a tool whose answers the page shows. Some hosts read the nested form, some the flat one."""
_NO_NETWORK = ResourceCsp(connect_domains=[], resource_domains=[], frame_domains=[], base_uri_domains=[])


def page_as_app() -> Apps:
    """The extension of MCP that offers the page. The file is read when a host asks for it."""
    apps = Apps()
    apps.add_resource(
        FileResource(
            uri=URI,
            name="browser",
            title="Threads",
            description="Shows threads, their turns and their trees as a page.",
            mime_type=APP_MIME_TYPE,
            path=FILE,
            meta={"ui": {"csp": _NO_NETWORK.model_dump(by_alias=True)}},
        )
    )
    return apps
