"""Copy files of events to a bucket, each below its date: `2016-02-21aa` becomes `talk/2016/02/21/aa.txt`.

python s3_load.py --source_dir events --bucket talk-events --prefix talk --profile default
"""

import argparse
import re
from pathlib import Path
from typing import Any

#: A date, and the rest of the name.
NAME = re.compile(r"(\d{4})-(\d{2})-(\d{2})([A-Za-z0-9_-]+)(\.\w+)?")


def key_of(name: str, prefix: str) -> str | None:
    """Return the key of a file; None if its name does not begin with a date."""
    found = NAME.fullmatch(name)
    return f"{prefix.strip('/')}/{found[1]}/{found[2]}/{found[3]}/{found[4]}.txt".lstrip("/") if found else None


def load(source: Path, bucket: str, prefix: str, client: Any) -> list[str]:
    """Copy the files of a folder, and return their keys; other files stay."""
    keys = {path: key for path in sorted(source.iterdir()) if path.is_file() and (key := key_of(path.name, prefix))}
    for path, key in keys.items():
        client.upload_file(str(path), bucket, key)
    return list(keys.values())


def main() -> None:
    import boto3

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source_dir", type=Path, required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--prefix", default="talk")
    parser.add_argument("--profile", help="profile of the credentials; default: those of the environment")
    given = parser.parse_args()
    client = boto3.Session(profile_name=given.profile).client("s3")
    for key in load(given.source_dir, given.bucket, given.prefix, client):
        print(f"s3://{given.bucket}/{key}")


if __name__ == "__main__":
    main()
