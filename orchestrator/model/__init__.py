"""The vocabulary as values: what a domain, a disk, a layer and a checkpoint *are*.

Pure: nothing here does input or output, knows a clock or makes an id. All sizes are bytes, all
times are timezone-aware UTC, all paths are names in the **hypervisor's** file system. A value is
stored in the journal and printed as JSON just as it stands here, so a field's name is a contract.

guest       what libvirt says of a host, a domain and its disks
layer       image files: layers, and the chains that they make
checkpoint  what the catalog records: checkpoints, heads, and their short forms
operation   what a verb does: kinds, journal rows, outcomes
reports     what the reading verbs return
names       which names and texts people may give
"""

from .checkpoint import (
    Artifact,
    ArtifactKind,
    CaptureMode,
    Checkpoint,
    CheckpointDetails,
    CheckpointDisk,
    CheckpointState,
    CheckpointSummary,
    Head,
    Labels,
    MemoryImage,
    Origin,
    shown_state,
)
from .guest import Device, Disk, Domain, DomainDisks, GuestState, Host, OffReason, Source
from .layer import Chain, Collapsible, FileFacts, Layer, LayerKind, NewOverlay, chain_of, walk
from .names import LONGEST_DESCRIPTION, NAME, check_description, check_expiry, check_name, some
from .operation import (
    After,
    Direction,
    MemberRecord,
    OperationKind,
    OperationRecord,
    OperationState,
    Outcome,
    Owner,
    Postponed,
    Recovered,
    StepTime,
    runs_after,
    what_becomes,
)
from .reports import (
    Advice,
    CatalogCondition,
    CheckpointUsage,
    Decision,
    DomainHoldings,
    DomainUsage,
    Finding,
    Holding,
    Holdings,
    Level,
    PruneReport,
    Rebuilt,
    RebuiltDomain,
    Skipped,
    Usage,
    Verdict,
    VerifyReport,
)

__all__ = [
    "LONGEST_DESCRIPTION",
    "NAME",
    "Advice",
    "After",
    "Artifact",
    "ArtifactKind",
    "CaptureMode",
    "CatalogCondition",
    "Chain",
    "Checkpoint",
    "CheckpointDetails",
    "CheckpointDisk",
    "CheckpointState",
    "CheckpointSummary",
    "CheckpointUsage",
    "Collapsible",
    "Decision",
    "Device",
    "Direction",
    "Disk",
    "Domain",
    "DomainDisks",
    "DomainHoldings",
    "DomainUsage",
    "FileFacts",
    "Finding",
    "GuestState",
    "Head",
    "Holding",
    "Holdings",
    "Host",
    "Labels",
    "Layer",
    "LayerKind",
    "Level",
    "MemberRecord",
    "MemoryImage",
    "NewOverlay",
    "OffReason",
    "OperationKind",
    "OperationRecord",
    "OperationState",
    "Origin",
    "Outcome",
    "Owner",
    "Postponed",
    "PruneReport",
    "Rebuilt",
    "RebuiltDomain",
    "Recovered",
    "Skipped",
    "Source",
    "StepTime",
    "Usage",
    "Verdict",
    "VerifyReport",
    "chain_of",
    "check_description",
    "check_expiry",
    "check_name",
    "runs_after",
    "shown_state",
    "some",
    "walk",
    "what_becomes",
]
