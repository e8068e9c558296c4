"""Asyncio client with batching for the besmart.energy smart-metering REST API."""
