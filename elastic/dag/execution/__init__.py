"""Running one task: context, callbacks, actions, retries, XCom and time limits."""
