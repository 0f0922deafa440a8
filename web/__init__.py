"""The front: Flask and WebSocket only here; JSON to domain and back."""
