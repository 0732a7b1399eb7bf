"""``cut.yaml`` as typed values: what is cut, from whom, under which key, into which packs.

Relative paths are taken from the folder of ``cut.yaml``. Faults are collected and told with the path of the entry.
"""

from __future__ import annotations

import datetime
import re
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from contracts.errors import ConfigurationError
from contracts.load import load_all
from contracts.profiles import Profile, promise_names
from contracts.strict import PlacedError, Strict, matching, none_of
from contracts.validation import load_document, load_model, read_file
from contracts.vocabulary import Form, PostcodePolicy
from flows.cut.qualification import Qualification
from flows.cut.registers import Duties, Mpid, Registers, Succession, successors
from flows.cut.secret_places import SecretPlace, read_secret
from flows.intake import SourceSpec
from flows.intake.files import found, is_pattern
from flows.intake.source import safe_name
from flows.keys.age_files import identities_of
from flows.keys.secret_files import read_private
from transforms.dates import EVERY, ORDERS, is_order

CutId = Annotated[
    str,
    matching(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        "must be 1 to 64 letters, digits, dots, hyphens and underscores, no dot first",
    ),
]
Fingerprint = Annotated[
    str, matching(r"[0-9a-f]{32}", "must be the 32 hex digits that 'datacut key fingerprint' prints")
]
# role of the MHHS market -> the role whose extracts it sends
MHHS_ROLES = {
    "REGS": "LDSO", "UMSO": "LDSO", "MSS": "MOP", "MSA": "MOP", "SDS": "DC", "ADS": "DC", "UMSDS": "DC",
    "MDS": "ELEXON", "LSS": "ELEXON",
}  # fmt: skip
Share = Annotated[float, Field(ge=0, le=1)]  # nan is no share: nothing would be above it


class RiskPolicy(Strict):
    """What an intruder is taken to know, and how much risk is tolerated; a passed threshold ends the run."""

    quasi_identifiers: tuple[str, ...] = Field(
        default=(
            "outward",
            "profile_class",
            "meter_type",
            "measurement_class",
            "supplier_mpid",
            "consumption_band",
        ),
        min_length=1,
    )
    thresholds: dict[Literal["prosecutor_max", "prosecutor_mean", "marketer"], Share] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _once(self) -> RiskPolicy:
        if len(set(self.quasi_identifiers)) < len(self.quasi_identifiers):
            raise ValueError("a quasi-identifier is listed twice")
        return self


class Allowed(Strict):
    """One exclusion above the limit that is accepted by name: of an extract, or of one rule in it; and why."""

    extract: str = Field(min_length=1)
    participant: Mpid | None = None
    rule: str | None = None
    reason: str = Field(min_length=1)


class ExcludedAtMost(Strict):
    """How much may be excluded, by extract and by rule, before a run ends with nothing published.

    More than ``share`` and more than ``rows`` is too much; so is every row. ``allow`` accepts what it names.
    """

    share: Share = 0.2
    rows: int = Field(default=10, ge=0)
    allow: tuple[Allowed, ...] = ()


def _limits(value: object) -> object:
    return {"share": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


def _of_intruders(figures: dict[str, float]) -> dict[str, float]:
    for name in figures:
        if name not in promise_names():
            raise ValueError(none_of(name, promise_names(), "intruder"))
    return figures


class Policy(Strict):
    """What the DPIA decides beside the contracts (Q58), and how much may be excluded."""

    postcode: PostcodePolicy = PostcodePolicy.OUTWARD
    overlay: Path | None = None
    profile: Profile = Profile.STANDARD  # how precise dates and amounts of release and return packs are
    promises: Annotated[dict[str, Share], AfterValidator(_of_intruders)] = Field(default_factory=dict)
    """Figures accepted by name, in place of what the profile promises."""
    risk: RiskPolicy = RiskPolicy()
    excluded_at_most: Annotated[ExcludedAtMost, BeforeValidator(_limits)] = ExcludedAtMost()


class Cut(Strict):
    """The data cut: one key, one day (Q74)."""

    id: CutId
    date: datetime.date
    key: SecretPlace
    key_passphrase_file: Path | None = None
    key_passphrase: SecretPlace | None = None  # the same from a program or a store
    key_identity_file: Path | None = None
    seal_identity_file: Path | None = None  # opens backups that were sealed for the cut
    revoked_keys: Path | None = None
    scheme: Literal[1, "1"] = 1
    trust_model: Literal["si-central", "shared-key"] = "si-central"
    expires: datetime.date | None = None  # last day on which a pack may be relied on
    fingerprint: Fingerprint | None = None
    test: bool = False  # invented data alone: a published key will do
    policy: Policy = Policy()


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _joined(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _for_every(value: object) -> object:
    return {EVERY: value} if isinstance(value, str) else value


class SourceConfig(Strict):
    """Where one extract lies: files, a table or query of a database, or a participant's submission pack.

    ``path`` takes files, folders and globs, one or a list; ``columns`` says what the source calls a column of the
    contract; ``harmless`` names headings that only sound like a person's.

    A pack is believed on the word of ``public_key`` alone, and read only once its signature and digests hold.
    """

    path: Annotated[tuple[Path, ...], BeforeValidator(_listed)] | None = Field(default=None, min_length=1)
    columns: dict[str, str] = Field(default_factory=dict)
    harmless: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    pack: Path | None = None
    public_key: Path | None = None
    url: str | None = None
    query: str | None = None
    form: Literal["auto", "csv", "parquet", "dtc", "database"] = "auto"
    encoding: Literal["auto", "utf-8", "cp1252", "utf-16", "utf-16-le", "utf-16-be"] = "auto"
    delimiter: Literal["auto", "comma", "tab", "pipe"] = "auto"
    quote: Literal["double", "none", "backslash"] = "double"
    member: str | None = None
    dates: Annotated[dict[str, str], BeforeValidator(_for_every)] = Field(default_factory=dict)
    nulls: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    cut_date: datetime.date | None = None

    @field_validator("dates")
    @classmethod
    def _orders(cls, dates: dict[str, str]) -> dict[str, str]:
        for order in dates.values():
            if not is_order(order):
                raise ValueError(none_of(order, (*ORDERS, "dd/mm/yyyy", "dd/mm/yy"), "order of dates"))
        return dates

    @model_validator(mode="after")
    def _pack_and_key(self) -> SourceConfig:
        if (self.pack is None) != (self.public_key is None):
            raise ValueError("pack and public_key go together")
        if self.pack is not None and (self.path is not None or self.url is not None):
            raise ValueError("a source is a pack, a file or a database, one of them")
        return self


def _source(value: object) -> object:
    if isinstance(value, str) and re.match(r"(path|url|query|pack|form)\s*:", value):
        raise ValueError("a space is missing after the colon")
    return {"path": value} if isinstance(value, str | list) else value


class ExtractConfig(Strict):
    """One extract of a participant: its contract and its source.

    ``agreed`` names the columns that were agreed with the participant (Q64); without it all of the contract is.
    """

    contract: str
    source: Annotated[SourceConfig, BeforeValidator(_source)]
    agreed: tuple[str, ...] | None = None

    @field_validator("contract")
    @classmethod
    def _known(cls, name: str, info: ValidationInfo) -> str:
        known = (info.context or {}).get("contracts")
        if known is not None and name not in known:
            raise ValueError(none_of(name, sorted(known), "contract"))
        return name

    @model_validator(mode="after")
    def _agreed_columns(self, info: ValidationInfo) -> ExtractConfig:
        known, needed = (info.context or {}).get("columns", {}).get(self.contract, (None, ()))
        if self.agreed is None or known is None:
            return self
        if self.source.pack is not None:
            raise ValueError("agreed is for backups: what a submission pack holds was taken when it was made")
        for name in self.agreed:
            if name not in known:
                raise ValueError(none_of(name, known, f"column of {self.contract}"))
        if lacking := [name for name in needed if name not in self.agreed]:
            raise ValueError(f"agreed lacks {', '.join(lacking)}, without which {self.contract} cannot be read")
        return self

    @model_validator(mode="after")
    def _of_the_contract(self, info: ValidationInfo) -> ExtractConfig:
        columns, _ = (info.context or {}).get("columns", {}).get(self.contract, (list(self.source.columns), ()))
        for name in sorted(set(self.source.columns) - set(columns)):
            if self.source.columns[name] in columns:
                raise ValueError(f"`columns` is turned round: write {self.source.columns[name]}: and then your heading")
            raise ValueError(none_of(name, sorted(columns), f"column of {self.contract}"))
        known = (info.context or {}).get("dates", {}).get(self.contract, self.source.dates)
        for name in sorted(set(self.source.dates) - set(known) - {EVERY}):
            raise ValueError(none_of(name, sorted(known), "column of dates"))
        return self


class Participant(Strict):
    """A market participant in one role or several, and what it sends.

    ``due`` is the day by which it is expected; ``left_out`` says why a run goes on without it.
    """

    mpid: Mpid
    role: Annotated[str, BeforeValidator(_joined), Field(min_length=1)]
    extracts: tuple[ExtractConfig, ...] = Field(min_length=1)
    due: datetime.date | None = None
    left_out: str | None = Field(default=None, min_length=1)
    duties: Duties = Duties()
    services: Path | None = None
    dip_ids: Path | None = None

    @field_validator("role")
    @classmethod
    def _of_the_market(cls, roles: str, info: ValidationInfo) -> str:
        known = (info.context or {}).get("roles")
        for role in roles.split(", "):
            if known is not None and role.upper() not in {*known, *MHHS_ROLES}:  # what it gets back depends on it
                raise ValueError(none_of(role, sorted({*known, *MHHS_ROLES}), "role"))
        return roles

    @property
    def sender_roles(self) -> tuple[str, ...]:
        """The roles of the legacy market in which it sends: a metering service sends what a meter operator does."""
        return tuple(dict.fromkeys(MHHS_ROLES.get(role.upper(), role.upper()) for role in self.role.split(", ")))


class ReferenceData(Strict):
    """Reference data of the cut, each a folder or a ZIP as Elexon publishes it."""

    market_domain_data: Path | None = None
    industry_standing_data: Path | None = None


class Augmentation(Strict):
    """Decision tables, ranked evidence and mapping tables in place of, or beside, the project's own."""

    items: Path | None = None
    associations: Path | None = None
    services: tuple[Path, ...] = ()
    dip_ids: tuple[Path, ...] = ()


class RingFenceConfig(Strict):
    """The plan that says which test case needs which metering points, and the ledger that remembers."""

    plan: Path
    ledger: str = "sqlite:///ledger.db"
    ledger_id: str | None = None  # of the one ledger that may be used, as datacut ringfence init prints it


class Release(Strict):
    """Where packs go and who signs them.

    ``approver`` asks for a second signature: a private key gives it at once, a public key names who gives it later,
    with ``datacut approve``. ``compare_with`` is the pack of an earlier cut, to show trends against.
    """

    folder: Path = Path("out")
    due: datetime.date | None = None  # last day on which a release is in time
    formats: tuple[Literal["parquet", "csv"], ...] = ("parquet",)
    signing_key: SecretPlace
    signing_passphrase: SecretPlace | None = None
    approver: Path | None = None
    compare_with: Path | None = None
    recipients: Literal["all"] | tuple[str, ...] = "all"


class CutFile(Strict):
    """The whole of ``cut.yaml``."""

    cut: Cut
    participants: tuple[Participant, ...] = Field(min_length=1)
    release: Release
    registers: Registers = Registers()
    reference: ReferenceData = ReferenceData()
    augmentation: Augmentation = Augmentation()
    ring_fence: RingFenceConfig | None = None
    succession: tuple[Succession, ...] = ()
    qualification: Qualification | None = None
    work: Path = Path("work")
    partitions: int | None = Field(default=None, ge=1, le=4096)

    @model_validator(mode="after")
    def _once(self) -> CutFile:
        if all(participant.left_out is not None for participant in self.participants):
            raise PlacedError("leaves everybody out", "participants")
        successors(self.succession, self.cut.date)
        seen: dict[tuple[str, str], tuple[int, bool]] = {}
        agreed: dict[tuple[str, str], tuple[str, ...] | None] = {}
        for number, participant in enumerate(self.participants):
            for place, extract in enumerate(participant.extracts):
                # several systems of one participant may each send a part of it (Q86); a pack is the whole of it
                key, part = (participant.mpid, extract.contract), extract.source.pack is None
                if key in seen and not (part and seen[key] == (number, part)):
                    raise PlacedError("appears twice", "participants", number, "extracts", place)
                seen[key] = (number, part)
                if agreed.setdefault(key, extract.agreed) != extract.agreed:
                    raise PlacedError(
                        "is not the same in all entries", "participants", number, "extracts", place, "agreed"
                    )
        return self


class Job:
    """A validated ``cut.yaml`` with its folder: every path it gives is absolute.

    Attributes:
        model: the file, of its participants those that take part.
        everyone: all participants, those that are left out by name too.
    """

    def __init__(self, file: Path, model: CutFile) -> None:
        self.file, self.folder, self.everyone = file, file.resolve().parent, model.participants
        taking_part = tuple(participant for participant in model.participants if participant.left_out is None)
        self.model = model.model_copy(update={"participants": taking_part})

    @property
    def left_out(self) -> tuple[Participant, ...]:
        """Participants without which the run goes on."""
        return tuple(participant for participant in self.everyone if participant.left_out is not None)

    def find(self, mpid: str, contract: str) -> tuple[Participant, ExtractConfig]:
        """Return a participant and the first entry of one of its extracts.

        Raises:
            ConfigurationError: the cut has no such extract.
        """
        for participant in self.model.participants:
            for candidate in participant.extracts:
                if (participant.mpid, candidate.contract) == (mpid, contract):
                    return participant, candidate
        raise ConfigurationError(f"has no extract {contract!r} of {mpid}", where=str(self.file))

    def path(self, relative: Path) -> Path:
        """Return a path of the file as an absolute one."""
        return relative if relative.is_absolute() else self.folder / relative

    def secret(self, place: SecretPlace) -> bytes:
        """Return a secret that the file names the place of.

        Raises:
            KeyMaterialError: as :func:`flows.cut.secret_places.read_secret`.
        """
        return read_secret(place, self.folder)

    def files(self, participant: Participant, extract: ExtractConfig) -> list[Path]:
        """Return the files on disk that one entry of an extract is read from: none for a database, or not there yet."""
        source = extract.source
        if source.pack is not None:
            return [self.path(source.pack) / f"data/{participant.mpid}/{extract.contract}.parquet"]
        return found(self.source(participant, extract))

    def entries(self, participant: Participant, contract: str) -> list[ExtractConfig]:
        """Return the entries of one extract: one for each system of the participant that sends a part of it (Q86)."""
        return [extract for extract in participant.extracts if extract.contract == contract]

    def source(self, participant: Participant, extract: ExtractConfig) -> SourceSpec:
        """Return the specification that intake reads."""
        source = extract.source
        paths = tuple(self.path(path) for path in source.path or ())
        alone = len(paths) == 1 and not (paths[0].is_dir() or is_pattern(paths[0]))
        return SourceSpec(
            name=f"{participant.mpid}/{extract.contract} ({_display_name(source)})",
            path=paths[0] if alone else None,
            paths=() if alone else paths,
            file=self._name(paths[0], several=len(self.entries(participant, extract.contract)) > 1) if alone else "",
            url=source.url,
            query=source.query,
            form=source.form,
            encoding=source.encoding,
            delimiter=source.delimiter,
            quote=source.quote,
            member=source.member,
            dates=source.dates,
            nulls=source.nulls,
            root=self.folder,
            columns=MappingProxyType(source.columns),
            harmless=source.harmless,
            cut_date=source.cut_date,
            as_of=self.model.cut.date,
            agreed=extract.agreed,
            successors=MappingProxyType(successors(self.model.succession, self.model.cut.date)),
            identities=self.identities,
            own=self._own_places,
        )

    @cached_property
    def _own_places(self) -> frozenset[Path]:
        """Places of the cut itself: in a folder of backups they are none."""
        model = self.model
        named = [model.work, model.release.folder]
        named += [place for place in (model.release.signing_key, model.cut.key) if isinstance(place, Path)]
        named += [path for path in (model.reference.market_domain_data, model.reference.industry_standing_data) if path]
        return frozenset({self.file.absolute(), *(self.path(path) for path in named)})

    def _name(self, path: Path, *, several: bool) -> str:
        """Return what its owner calls a file: of several, its path below the folder of ``cut.yaml``."""
        return path.relative_to(self.folder).as_posix() if several and path.is_relative_to(self.folder) else path.name

    @cached_property
    def identities(self) -> tuple[object, ...]:
        """What opens sealed backups; nothing where none is expected.

        Raises:
            KeyMaterialError: the file is missing, open to others, or holds no age identity.
        """
        file = self.model.cut.seal_identity_file
        return () if file is None else identities_of(read_private(self.path(file)))

    @property
    def sources(self) -> int:
        """How many sources the cut reads."""
        return sum(len({e.contract for e in participant.extracts}) for participant in self.model.participants)

    @property
    def ledger_url(self) -> str:
        """The ledger's URL; a relative SQLite file lies beside ``cut.yaml``."""
        url = self.model.ring_fence.ledger if self.model.ring_fence else "sqlite:///ledger.db"
        prefix = "sqlite:///"
        if url.startswith(prefix) and not Path(url.removeprefix(prefix)).is_absolute():
            return prefix + str(self.folder / url.removeprefix(prefix))
        return url


def _display_name(source: SourceConfig) -> str:
    """Return what errors call a source."""
    if source.path is None:
        return "database"
    return safe_name(source.path[0].name) if len(source.path) == 1 else f"{len(source.path)} paths"


def load_cut(file: Path) -> Job:
    """Read and validate ``cut.yaml``.

    Raises:
        ConfigurationError: the file is missing, is not YAML, or an entry is wrong; all faults at once.
    """
    known = load_all()
    context = {
        "contracts": frozenset(known),
        "roles": frozenset(contract.role for contract in known.values()),
        "columns": {
            name: ([c.name for c in one.columns], [c.name for c in one.columns if c.required or c.key])
            for name, one in known.items()
        },
        "dates": {name: [c.name for c in one.columns if c.form is Form.DATE] for name, one in known.items()},
    }
    raw = read_file(file, ConfigurationError)
    try:
        model, _ = load_model(raw, CutFile, ConfigurationError, where=str(file), context=context)
    except ConfigurationError:
        if isinstance(load_document(raw, ConfigurationError, where=str(file)).value, dict | None):
            raise
        remedy = "datacut init proposes one for a backup"
        raise ConfigurationError("is not a cut.yaml", where=str(file), remedy=remedy) from None
    return Job(file, model)
