claude mcp add threadstore -- uvx threadstore serve
