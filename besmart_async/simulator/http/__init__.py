"""How a request comes in and how its answer leaves: the ASGI application, the socket, tokens, and faults on the way."""
