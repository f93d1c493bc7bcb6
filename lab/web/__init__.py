"""The server: the command, the app, its routes, the guard before them, and the navigation between pages."""
