"""Facts in, plan or refusal out.

Pure: no clock, no ids of its own, no effects. Every refusal there is comes from here, before the
first effect (order rule 1).
"""

from ..model import check_name, runs_after
from .checkpoint import CheckpointFacts, CheckpointRequest, plan_checkpoint
from .collapse import HELPER_PREFIX, HELPER_TARGET, CollapseFacts, holders, is_helper, plan_collapse
from .delete import DeleteFacts, plan_delete
from .depth import SOFT_LIMIT, depth_note
from .edit import EditFacts, Edits, plan_edit
from .files import Chains, Seen, damage, dangers, qcow2_layers, relied_on, users, writers
from .plans import CheckpointPlan, CollapsePlan, DeletePlan, EditPlan, Plan, RollbackPlan, misplaced
from .retention import Policy, check_policy, decide
from .rollback import RollbackFacts, plan_rollback

__all__ = [
    "HELPER_PREFIX",
    "HELPER_TARGET",
    "SOFT_LIMIT",
    "Chains",
    "CheckpointFacts",
    "CheckpointPlan",
    "CheckpointRequest",
    "CollapseFacts",
    "CollapsePlan",
    "DeleteFacts",
    "DeletePlan",
    "EditFacts",
    "EditPlan",
    "Edits",
    "Plan",
    "Policy",
    "RollbackFacts",
    "RollbackPlan",
    "Seen",
    "check_name",
    "check_policy",
    "damage",
    "dangers",
    "decide",
    "depth_note",
    "holders",
    "is_helper",
    "misplaced",
    "plan_checkpoint",
    "plan_collapse",
    "plan_delete",
    "plan_edit",
    "plan_rollback",
    "qcow2_layers",
    "relied_on",
    "runs_after",
    "users",
    "writers",
]
