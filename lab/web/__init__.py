"""Process: the command, the app, its routes, who may ask, and the navigation between pages."""
