"""`ngdiff sweep --resume`: what is done is of the same rows and models as what is left."""

from functools import cache
from pathlib import Path

from ngdiff.errors import InputError
from ngdiff.evidence.inputs import inputs_of
from ngdiff.evidence.seal import read_sealed
from ngdiff.file_names import MANIFEST
from ngdiff.hashes import sha256_file
from ngdiff.sweep import Record


def refuse_changed_inputs(record: Record) -> None:
    """Compare the files that finished jobs read with the hashes in their manifests; pass over files that are gone.

    Args:
        record: After `take_over`.

    Raises:
        InputError: a file has changed since.
    """
    hashed = cache(sha256_file)  # many jobs read the same files
    for job in record.jobs:
        manifest = job.place(record.folder) / MANIFEST
        if not record.results[job.name].earlier or not manifest.is_file():
            continue
        content, fault = read_sealed(manifest)
        for one in [] if fault else inputs_of(content):
            for name, digest in one.files.items():
                place: Path = one.places[name]
                if place.is_file() and hashed(place) != digest:
                    raise InputError(
                        f"--resume: {place} has changed since {job.name} read it, so that its results would stand "
                        "beside those of other rows or models; put the file back, or choose another --output"
                    )
