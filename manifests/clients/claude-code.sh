claude mcp add --scope user threadstore -- threadstore serve
