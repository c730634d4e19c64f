"""Where data files come from, and that they are what they should be.

Hashes are of the uncompressed content: the same data compressed again gives other bytes.
"""

import gzip
import hashlib
import os
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from zerohm._cache import user_cache
from zerohm._errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
TIMEOUT_S = 30.0
"""How long a server may stay silent before the next address is tried."""


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One file of a data set.

    Parameters
    ----------
    folder : its folder under ``$ZEROHM_DATA`` and in the cache.
    name : its name; a name in ``.gz`` is also found uncompressed, without the ending.
    addresses : folders on the web to download it from, tried in this order.
    sha256 : of the uncompressed content; None where it could not be established.
    published_name : its name at the addresses, where that is another one.
    archive_md5 : of the compressed file as its authors publish it, where ``sha256`` is None.
        Only a download is held to it: a user's own file may be compressed differently.
    """

    folder: str
    name: str
    addresses: tuple[str, ...]
    sha256: str | None = None
    published_name: str | None = None
    archive_md5: str | None = None

    def obtain(self) -> tuple[Path, bytes]:
        """Path and uncompressed content, found or downloaded, with the right hash.

        Raises
        ------
        InputError : the file found is damaged or is another one, or there is none and no address
            gave it; the message says where it was looked for.
        """
        for folder in self._folders():
            for name in (self.name, self.name.removesuffix(".gz")):
                if (folder / name).is_file():
                    return folder / name, self._found(folder / name)
        return self._download()

    def _folders(self) -> list[Path]:
        """Where the file is looked for, in this order."""
        own = os.environ.get("ZEROHM_DATA")
        return [*([Path(own) / self.folder] if own else []), self._cache()]

    def _cache(self) -> Path:
        return user_cache() / "data" / self.folder

    def _found(self, path: Path) -> bytes:
        try:
            return self._checked(path.read_bytes(), str(path))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        except InputError as error:
            raise InputError(f"{error}. Replace or remove the file") from error

    def _checked(self, archive: bytes, source: str) -> bytes:
        """Uncompressed content, which must have the right hash."""
        content = decompressed(archive, source)
        if self.sha256 is not None:
            found = hashlib.sha256(content).hexdigest()
            if found != self.sha256:
                raise InputError(
                    f"{source}: expected uncompressed content with the SHA-256 {self.sha256}, "
                    f"found {found}"
                )
        return content

    def _download(self) -> tuple[Path, bytes]:
        """Fill the cache from the first address that gives the right file."""
        failures = []
        for address in self.addresses:
            url = address + (self.published_name or self.name)
            try:
                return self._fetch(url)
            except InputError as error:
                failures.append(str(error))
            except OSError as error:  # requests' errors are OSErrors too
                failures.append(f"{url}: download failed ({type(error).__name__})")
        raise InputError(
            f"no file {self.name}: looked in {', '.join(map(str, self._folders()))}; tried "
            f"{'; '.join(failures)}. Put the file into {self._cache()}, or into {self.folder}/ "
            "under the folder that the environment variable ZEROHM_DATA names"
        )

    def _fetch(self, url: str) -> tuple[Path, bytes]:
        """Download into the cache: the file appears there whole and checked, or not at all."""
        from pooch import HTTPDownloader

        download = HTTPDownloader(
            progressbar=sys.stderr.isatty(), chunk_size=1 << 16, timeout=TIMEOUT_S
        )
        self._cache().mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._cache(), prefix=".download-") as folder:
            arrived = Path(folder) / self.name
            download(url, str(arrived), None)
            archive = arrived.read_bytes()
            content = self._checked(archive, url)
            if self.archive_md5 is not None:
                found = hashlib.md5(archive, usedforsecurity=False).hexdigest()
                if found != self.archive_md5:
                    raise InputError(f"{url}: expected the MD5 {self.archive_md5}, found {found}")
            kept = self._cache() / self.name
            os.replace(arrived, kept)
        return kept, content


def decompressed(archive: bytes, source: str) -> bytes:
    """Content of a file, decompressed if it is a gzip file by its first bytes.

    Parameters
    ----------
    archive : the whole file.
    source : where it was read from, for messages.

    Raises
    ------
    InputError : it is a damaged gzip file.

    Examples
    --------
    >>> decompressed(gzip.compress(b"content"), "file.gz")
    b'content'
    """
    if not archive.startswith(GZIP_MAGIC):
        return archive
    try:
        return gzip.decompress(archive)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{source}: expected a whole gzip file, found damage: {error}") from error
