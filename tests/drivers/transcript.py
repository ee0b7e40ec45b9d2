"""What the Python scripts share: lines of a transcript, and errors as the server told them.

Nothing may be printed that differs between two runs on one server: no process ids, no object ids, no times.
"""

import re

FIELDS = ["severity", "severity_nonlocalized", "sqlstate", "message_primary", "message_detail", "message_hint", "message", "detail",
          "hint", "position", "statement_position", "schema_name", "table_name", "column_name", "constraint_name"]


def out(*words):
    print(*words, flush=True)


def told(error):
    """What an error says of itself, whichever driver raised it, or wrapped it."""
    source = getattr(error, "orig", None) or error
    # Django, SQLAlchemy and their dialects chain what the driver raised.
    while source.__cause__ is not None and not any(getattr(source, name, None) for name in ("sqlstate", "diag")):
        source = source.__cause__
    source = getattr(source, "diag", None) or source
    fields = {name: getattr(source, name, None) for name in FIELDS}
    if not any(fields.values()):
        fields = {"text": re.sub(r"port [0-9]+", "port PORT", str(error))}
    return type(error).__name__, {name: value for name, value in fields.items() if value is not None}


def attempt(label, action):
    """Runs an action; prints its result, or its error."""
    try:
        out(label, "->", repr(action()))
    except Exception as error:
        out(label, "!!", *told(error))


async def attempt_async(label, awaitable):
    """Awaits; prints the result, or the error."""
    try:
        out(label, "->", repr(await awaitable))
    except Exception as error:
        out(label, "!!", *told(error))
