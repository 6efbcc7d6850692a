"""Operators that ezkl 23.0.5 refuses in any form; of others it refuses some forms, when a model is compiled.

Found by giving it every model of one operator that the onnx package generates for its own tests.
"""

from __future__ import annotations

_NAMES = """
Adagrad Adam AffineGrid Attention Bernoulli Binarizer BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
CausalConvWithState CenterCropPad Col2Im CumProd DeformConv Det FlexAttention Gelu GridSample GroupNormalization
ImageDecoder IsInf IsNaN LabelEncoder LinearAttention LpNormalization LpPool MaxUnpool MeanVarianceNormalization
Mish Momentum NegativeLogLikelihoodLoss NonMaxSuppression NonZero RMSNormalization RegexFullMatch RoiAlign
RotaryEmbedding SequenceInsert SequenceMap SoftmaxCrossEntropyLoss SplitToSequence StringConcat StringNormalizer
StringSplit SwiGLU Swish TensorScatter TfIdfVectorizer TreeEnsemble Upsample
"""
REFUSED = frozenset(_NAMES.split())
"""By ONNX's names."""
