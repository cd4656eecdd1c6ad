"""The HTTP transport of contract calls, generated from the Protocols: no line of it knows a module."""
