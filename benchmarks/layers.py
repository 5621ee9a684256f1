"""The layers that are timed, from well-known networks, as data.

Shapes are channels-last: (batch, *spatial, channels).
"""

from typing import NamedTuple


class Layer(NamedTuple):
    """One row. `filters` is the depth multiplier of a depthwise layer ("dw")."""

    op: str  # conv | dw | sep
    shape: tuple[int, ...]
    window: tuple[int, ...]
    filters: int
    strides: int = 1
    dilation_rate: int = 1
    padding: str = "same"
    groups: int = 1


LAYERS = {
    # Dense: ResNet-50, VGG-16, DeepLab, YOLO, U-Net, Inception, ResNeXt
    "resnet_conv1_7x7s2": Layer("conv", (1, 224, 224, 3), (7, 7), 64, strides=2),
    "resnet_56_64_3x3": Layer("conv", (1, 56, 56, 64), (3, 3), 64),
    "resnet_28_128_3x3": Layer("conv", (1, 28, 28, 128), (3, 3), 128),
    "resnet_14_256_3x3": Layer("conv", (1, 14, 14, 256), (3, 3), 256),
    "resnet_7_512_3x3": Layer("conv", (1, 7, 7, 512), (3, 3), 512),
    "resnet_56_128_3x3s2": Layer("conv", (1, 56, 56, 128), (3, 3), 128, strides=2),
    "vgg_224_3_3x3": Layer("conv", (1, 224, 224, 3), (3, 3), 64),
    "vgg_112_128_3x3": Layer("conv", (1, 112, 112, 128), (3, 3), 128),
    "deeplab_33_256_3x3d2": Layer("conv", (1, 33, 33, 256), (3, 3), 256, dilation_rate=2),
    "yolo_80_128_3x3s2": Layer("conv", (1, 80, 80, 128), (3, 3), 256, strides=2),
    "unet_68_256_3x3": Layer("conv", (1, 68, 68, 256), (3, 3), 256, padding="valid"),
    "inception_17_192_1x7": Layer("conv", (1, 17, 17, 192), (1, 7), 192),
    "inception_17_192_7x1": Layer("conv", (1, 17, 17, 192), (7, 1), 192),
    "resnext_56_128_g32": Layer("conv", (1, 56, 56, 128), (3, 3), 128, groups=32),
    "mnist_28_1_3x3": Layer("conv", (1, 28, 28, 1), (3, 3), 32, padding="valid"),
    # Pointwise: ResNet-50, MobileNet
    "pw_56_64_256": Layer("conv", (1, 56, 56, 64), (1, 1), 256),
    "pw_14_1024_256": Layer("conv", (1, 14, 14, 1024), (1, 1), 256),
    "pw_7_512_2048": Layer("conv", (1, 7, 7, 512), (1, 1), 2048),
    "pw_112_32_64": Layer("conv", (1, 112, 112, 32), (1, 1), 64),
    # Depthwise: MobileNet, EfficientNet, ConvNeXt, Conformer
    "dw_112_32_3x3": Layer("dw", (1, 112, 112, 32), (3, 3), 1),
    "dw_56_128_3x3s2": Layer("dw", (1, 56, 56, 128), (3, 3), 1, strides=2),
    "dw_14_512_3x3": Layer("dw", (1, 14, 14, 512), (3, 3), 1),
    "dw_28_240_5x5": Layer("dw", (1, 28, 28, 240), (5, 5), 1),
    "dw_7_1024_3x3": Layer("dw", (1, 7, 7, 1024), (3, 3), 1),
    "convnext_56_96_7x7": Layer("dw", (1, 56, 56, 96), (7, 7), 1),
    "conformer_dw_256_k31": Layer("dw", (1, 1000, 256), (31,), 1),
    # Separable: MobileNet, Xception, QuartzNet
    "sep_56_128_128": Layer("sep", (1, 56, 56, 128), (3, 3), 128),
    "sep_19_728_728": Layer("sep", (1, 19, 19, 728), (3, 3), 728),
    "sep1d_256_k31": Layer("sep", (1, 1000, 256), (31,), 256),
    # Sequences: wav2vec 2.0, a temporal convolution network, WaveNet, Whisper, HiFi-GAN
    "wav2vec_1_512_k10s5": Layer("conv", (1, 16000, 1), (10,), 512, strides=5, padding="valid"),
    "wav2vec_512_k3s2": Layer("conv", (1, 3199, 512), (3,), 512, strides=2, padding="valid"),
    "tcn_64_k3d8_causal": Layer("conv", (8, 1024, 64), (3,), 64, dilation_rate=8, padding="causal"),
    "wavenet_32_k2d512": Layer("conv", (1, 16000, 32), (2,), 64, dilation_rate=512, padding="causal"),
    "whisper_80_384_k3": Layer("conv", (1, 3000, 80), (3,), 384),
    "hifigan_128_k11d5": Layer("conv", (1, 4000, 128), (11,), 128, dilation_rate=5),
    "seed_10_3_k4": Layer("conv", (1, 10, 3), (4,), 2, padding="valid"),
    # Few filters: the ends of U-Net and ESPCN; filter banks on a grey image
    "unet_388_64_1x1": Layer("conv", (1, 388, 388, 64), (1, 1), 2),
    "espcn_180_32_3x3": Layer("conv", (1, 180, 320, 32), (3, 3), 3),
    "sobel_512_1_3x3": Layer("conv", (1, 512, 512, 1), (3, 3), 2),
    "gabor_512_1_11x11": Layer("conv", (1, 512, 512, 1), (11, 11), 8),
    # Batches
    "b8_resnet_28_128_3x3": Layer("conv", (8, 28, 28, 128), (3, 3), 128),
    "b8_pw_28_128_512": Layer("conv", (8, 28, 28, 128), (1, 1), 512),
    "b8_dw_28_256_3x3": Layer("dw", (8, 28, 28, 256), (3, 3), 1),
}
