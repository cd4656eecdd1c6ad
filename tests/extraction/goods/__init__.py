"""An app with migrations, of a module that moves."""
