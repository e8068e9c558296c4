"""What an operation declares, and what follows from it: finding a route, checking a request, the OpenAPI document."""
