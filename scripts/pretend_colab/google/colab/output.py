"""Live widgets: in Colab these switches say who draws them; here nobody does."""


def enable_custom_widget_manager() -> None:
    """Do nothing."""


def disable_custom_widget_manager() -> None:
    """Do nothing."""
