"""The stages, in the order in which they are typed."""

from extraction.stages.abort import Abort
from extraction.stages.complete import Complete
from extraction.stages.moves import Cutover, Rollback
from extraction.stages.provision import Provision
from extraction.stages.ramp import Ramp
from extraction.stages.recall import Recall
from extraction.stages.replicate import Replicate
from extraction.stages.stage import Stage
from extraction.stages.verify import Verify

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (Provision(), Replicate(), Verify(), Ramp(), Cutover(), Rollback(), Recall(), Complete(), Abort())
}
