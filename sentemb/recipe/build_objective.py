"""From an objective's block in a recipe to a function of (V, N, D) embeddings."""

from __future__ import annotations

from sentemb.methods.on_views import (
    CLIP,
    AlignUniform,
    InBatchNCE,
    MixedInfoNCE,
    SoftNearestNeighbour,
    on_classes,
    on_pair,
    on_scored_pair,
)
from sentemb.methods.siamese import ViewsObjective
from sentemb.objectives.angle import angle
from sentemb.objectives.barlow_twins import barlow_twins
from sentemb.objectives.contrastive import contrastive_in_batch
from sentemb.objectives.cosent import cosent
from sentemb.objectives.debiased import debiased
from sentemb.objectives.hard_negative import hard_negative
from sentemb.objectives.info_nce import info_nce
from sentemb.objectives.lifted_structured import lifted_structured_hard, lifted_structured_smooth
from sentemb.objectives.n_pair import n_pair
from sentemb.objectives.nt_xent import nt_xent
from sentemb.objectives.soft_nearest_neighbour import soft_nearest_neighbour
from sentemb.objectives.sup_con import sup_con_in, sup_con_out
from sentemb.objectives.triplet_mining import batch_all_triplet, batch_hard_triplet, semi_hard_triplet
from sentemb.recipe import objectives as o

_MINED = {"batch_all": batch_all_triplet, "batch_hard": batch_hard_triplet, "semi_hard": semi_hard_triplet}
_LIFTED = {"smooth": lifted_structured_smooth, "hard": lifted_structured_hard}
_SUP_CON = {"out": sup_con_out, "in": sup_con_in}


def build_objective(config: o.ObjectiveConfig) -> ViewsObjective:  # noqa: C901  # one case an objective
    """The objective that a block describes; the ones that learn something are modules."""
    match config:
        case o.InfoNCEConfig(temperature=t):
            return on_pair(info_nce, temperature=t)
        case o.NTXentConfig(temperature=t):
            return on_pair(nt_xent, temperature=t)
        case o.NPairConfig(l2_weight=weight):
            return on_pair(n_pair, l2_weight=weight)
        case o.NCEConfig(temperature=t):
            return InBatchNCE(temperature=t)
        case o.CLIPConfig(temperature=t, max_scale=most):
            return CLIP(temperature=t, max_scale=most)
        case o.HardNegativeConfig(temperature=t, tau_plus=share, beta=beta):
            return on_pair(hard_negative, temperature=t, tau_plus=share, beta=beta)
        case o.DebiasedConfig(temperature=t, tau_plus=share):
            return on_pair(debiased, temperature=t, tau_plus=share)
        case o.AlignUniformConfig(alpha=alpha, t=t, uniformity_weight=weight):
            return AlignUniform(alpha=alpha, t=t, uniformity_weight=weight)
        case o.BarlowTwinsConfig(off_diagonal_weight=weight):
            return on_pair(barlow_twins, off_diagonal_weight=weight)
        case o.MixupConfig(temperature=t, alpha=alpha):
            return MixedInfoNCE(temperature=t, alpha=alpha)
        case o.ContrastiveConfig(margin=margin):
            return on_classes(contrastive_in_batch, margin=margin)
        case o.TripletConfig(mining=mining, margin=margin, squared=squared):
            return on_classes(_MINED[mining], margin=margin, squared=squared)
        case o.LiftedStructuredConfig(form=form, margin=margin):
            return on_classes(_LIFTED[form], margin=margin)
        case o.SoftNearestNeighbourConfig(distance=distance, temperature=t, learn_temperature=True):
            return SoftNearestNeighbour(temperature=t, distance=distance)
        case o.SoftNearestNeighbourConfig(distance=distance, temperature=t):
            return on_classes(soft_nearest_neighbour, temperature=t, distance=distance)
        case o.SupConConfig(form=form, temperature=t):
            return on_classes(_SUP_CON[form], temperature=t)
        case o.CoSENTConfig(temperature=t):
            return on_scored_pair(cosent, temperature=t)
        case o.AnglEConfig(temperature=t):
            return on_scored_pair(angle, temperature=t)
