"""Python functions as hooks: in the event loop, or in processes of their own."""
