"""The checkpoints that OpenAI published, and those that others trained with its programs: which arithmetic each has.

Sources: the sampling flags in the READMEs of guided-diffusion, improved-diffusion and consistency_models.
"""

from dataclasses import replace

from priors.conversion.adm import AdmLayout, AdmRefusal
from priors.conversion.unet import COSINE, EDM, LINEAR, Architecture, predicts_eps

IMAGENET_256 = Architecture(
    256, (256, 256, 512, 512, 1024, 1024), 2, (3, 4, 5), outputs=6, scale_shift=True, resnet_resample=True
)
"""And LSUN bedroom, cat and horse: other pictures, and dropout, which is nothing to a trained network."""
IMAGENET_512 = replace(IMAGENET_256, widths=(128, 256, 256, 512, 512, 1024, 1024), attention=(4, 5, 6))
IMAGENET_128 = replace(IMAGENET_256, widths=(256, 256, 512, 768, 1024), attention=(2, 3, 4), classes=1000)
IMAGENET_64 = replace(IMAGENET_256, base=192, widths=(192, 384, 576, 768), blocks=3, attention=(1, 2, 3), classes=1000)
FFHQ = replace(IMAGENET_256, base=128, widths=(128, 128, 256, 256, 512, 512), blocks=1, attention=(4,))
BEDROOM_2021 = replace(FFHQ, blocks=2, scale_shift=False, resnet_resample=False)
BEDROOM_EDM = replace(IMAGENET_256, outputs=3, scale_shift=False)
IMAGENET_64_EDM = replace(IMAGENET_64, outputs=3)
IMAGENET_64_2021 = Architecture(128, (128, 256, 384, 512), 3, (2, 3), outputs=6, scale_shift=True)
IMAGENET_64_COND_2021 = replace(IMAGENET_64_2021, base=192, widths=(192, 384, 576, 768), classes=1000)
CIFAR_2021 = replace(IMAGENET_64_2021, widths=(128, 256, 256, 256), attention=(1, 2))

LAYOUTS = (
    AdmLayout(
        "adm-256",
        "guided-diffusion at 256 px without classes: ImageNet, LSUN bedroom, cat and horse; eps",
        (IMAGENET_256,),
        256,
        predicts_eps(LINEAR),
    ),
    AdmLayout(
        "adm-256-cond",
        "guided-diffusion at 256 px, ImageNet with classes; eps",
        (replace(IMAGENET_256, classes=1000),),
        256,
        predicts_eps(LINEAR),
    ),
    AdmLayout(
        "adm-ffhq",
        "the faces of P2 weighting and DPS (ffhq_10m) at 256 px, and their kin; eps",
        (FFHQ,),
        256,
        predicts_eps(LINEAR),
    ),
    AdmLayout(
        "adm-64-cond",
        "guided-diffusion at 64 px, ImageNet with classes; eps on the cosine schedule",
        (IMAGENET_64,),
        64,
        predicts_eps(COSINE),
        qkv_order="new",
    ),
    AdmLayout(
        "improved-diffusion",
        "improved-diffusion's LSUN bedroom at 256 px, one head of attention; eps",
        (BEDROOM_2021,),
        256,
        predicts_eps(LINEAR),
        head_width=None,
    ),
    AdmLayout(
        "openai-edm-256",
        "EDM teachers of the consistency models at 256 px: LSUN bedroom and cat",
        (BEDROOM_EDM,),
        256,
        EDM,
        qkv_order="new",
    ),
    AdmLayout(
        "openai-edm-64",
        "EDM teacher of the consistency models at 64 px: ImageNet with classes",
        (IMAGENET_64_EDM,),
        64,
        EDM,
        qkv_order="new",
    ),
)
REFUSALS = (
    AdmRefusal(
        "openai-consistency",
        "a consistency model jumps to a sample; its answer is not the mean of the clean image that a prior gives",
        (BEDROOM_EDM, IMAGENET_64_EDM),
    ),
    AdmRefusal(
        "adm-128-cond",
        "guided-diffusion at 128 px has 4 heads of attention at three widths, and UNet2DModel one width for all heads",
        (IMAGENET_128,),
    ),
    AdmRefusal(
        "adm-512",
        "guided-diffusion at 512 px has a time embedding wider than its outermost level, and UNet2DModel an equal one",
        (IMAGENET_512, replace(IMAGENET_512, classes=1000)),
    ),
    AdmRefusal(
        "improved-diffusion-4000",
        "improved-diffusion at 32 and 64 px was trained with 4000 timesteps, told on another scale or to 4 heads of "
        "several widths, which cannot be expressed here",
        (IMAGENET_64_2021, IMAGENET_64_COND_2021, CIFAR_2021),
    ),
)
