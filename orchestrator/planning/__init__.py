"""Facts in, plan or refusal out.

Pure: no clock, no ids of its own, no effects. Every refusal there is comes from here, before the
first effect (order rule 1).
"""

from .checkpoint import CheckpointFacts, CheckpointRequest, plan_checkpoint
from .delete import DeleteFacts, plan_delete
from .edit import EditFacts, Edits, plan_edit
from .files import Chains, Seen, damage, dangers, qcow2_layers, relied_on, users, writers
from .plans import CheckpointPlan, DeletePlan, EditPlan, Plan, RollbackPlan, misplaced, runs_after
from .refusals import check_name
from .retention import Policy, check_policy, decide
from .rollback import RollbackFacts, plan_rollback

__all__ = [
    "Chains",
    "CheckpointFacts",
    "CheckpointPlan",
    "CheckpointRequest",
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
    "misplaced",
    "plan_checkpoint",
    "plan_delete",
    "plan_edit",
    "plan_rollback",
    "qcow2_layers",
    "relied_on",
    "runs_after",
    "users",
    "writers",
]
