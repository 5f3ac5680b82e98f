"""Why a call to an actor had no answer."""


def describe_ray_error(error: BaseException) -> str:
    """Return why a call had no answer, in a few words."""
    kind = type(error).__name__.removesuffix("Error")
    words = {"ActorDied": "its process died", "ActorUnavailable": "its process did not answer"}
    return words.get(kind, f"its call ended with {type(error).__name__}")
