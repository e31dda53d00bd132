//! The operators that models may use: ONNX's own, and of the library's additions
//! those that only compute.

/// Of `com.microsoft`: what its tools write when they quantise and optimise. None
/// of them reads files, calls others' code, or loops. Left out are those whose inputs
/// are sizes or places by nature: `ConvTransposeWithDynamicPads`,
/// `EmbedLayerNormalization`, `GroupQueryAttention`.
const ADDED: [&str; 35] = [
    "Attention",
    "BiasGelu",
    "BiasSplitGelu",
    "DequantizeLinear",
    "DynamicQuantizeLSTM",
    "DynamicQuantizeMatMul",
    "FastGelu",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "FusedMatMulActivation",
    "Gelu",
    "MatMulInteger16",
    "MatMulIntegerToFloat",
    "MatMulNBits",
    "MultiHeadAttention",
    "NhwcMaxPool",
    "QAttention",
    "QGemm",
    "QLinearAdd",
    "QLinearAveragePool",
    "QLinearConcat",
    "QLinearConv",
    "QLinearGlobalAveragePool",
    "QLinearLeakyRelu",
    "QLinearMul",
    "QLinearReduceMean",
    "QLinearSigmoid",
    "QLinearSoftmax",
    "QuantizeLinear",
    "QuickGelu",
    "RotaryEmbedding",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
];

/// Of `ai.onnx.ml`, all of which the library has.
const CLASSICAL: [&str; 18] = [
    "ArrayFeatureExtractor",
    "Binarizer",
    "CastMap",
    "CategoryMapper",
    "DictVectorizer",
    "FeatureVectorizer",
    "Imputer",
    "LabelEncoder",
    "LinearClassifier",
    "LinearRegressor",
    "Normalizer",
    "OneHotEncoder",
    "SVMClassifier",
    "SVMRegressor",
    "Scaler",
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
    "ZipMap",
];

/// ONNX's own, up to its version 23, all of which the library has.
const STANDARD: &str = "Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh \
    Attention AveragePool BatchNormalization Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr \
    BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress Concat \
    ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DFT \
    DepthToSpace DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp \
    Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool \
    GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HammingWindow \
    HannWindow HardSigmoid HardSwish Hardmax Identity If InstanceNormalization IsInf IsNaN LRN LSTM \
    LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul \
    MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix \
    Min Mish Mod Mul Multinomial Neg NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot \
    Optional OptionalGetElement OptionalHasElement Or PRelu Pad Pow QLinearConv QLinearMatMul \
    QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform \
    RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax \
    ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence \
    RoiAlign RotaryEmbedding Round STFT Scan ScatterElements ScatterND Selu SequenceAt \
    SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap Shape \
    Shrink Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign \
    SpaceToDepth Split SplitToSequence Sqrt Squeeze StringNormalizer Sub Sum Tan Tanh \
    TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor";

/// Operators that read files, or strings that are programs.
const REFUSED: [&str; 2] = ["ImageDecoder", "RegexFullMatch"];

pub(super) fn allowed(domain: &str, operator: &str) -> bool {
    match domain {
        "" => !REFUSED.contains(&operator),
        "ai.onnx.ml" => true,
        "com.microsoft" => ADDED.binary_search(&operator).is_ok(),
        _ => false,
    }
}

/// Whether the library has it, where that is known without a model: it has all of
/// ONNX's own and of what the classical models of `ai.onnx.ml` are made of.
pub(super) fn supported(domain: &str, operator: &str) -> Option<bool> {
    match domain {
        "" | "ai.onnx" if STANDARD.split(' ').any(|known| known == operator) => Some(true),
        "ai.onnx.ml" => CLASSICAL.contains(&operator).then_some(true),
        _ if !allowed(domain, operator) => Some(false),
        _ => None,
    }
}

/// The operator that the library says it does not have.
pub(super) fn missing(said: &str) -> Option<String> {
    let word = |text: &str| {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "_.:".contains(c)));
        let name = text.get(..end.unwrap_or(text.len()))?;
        let name = name.rsplit(':').next()?;
        (!name.is_empty()).then(|| name.chars().take(64).collect())
    };
    if let Some((before, _)) = said.split_once(" is not a registered function/op") {
        // `Fatal error: ai.onnx:Name(-1)`
        return word(before.rsplit(' ').next()?);
    }
    let marks = [
        "No Op registered for ",
        "Could not find an implementation for ",
    ];
    let mut after = marks.iter().filter_map(|mark| said.split_once(mark));
    word(after.next()?.1)
}

#[cfg(test)]
mod tests {
    use super::{ADDED, allowed, missing, supported};

    #[test]
    fn operators_that_only_compute_are_allowed() {
        assert!(ADDED.is_sorted());
        assert!(allowed("", "Conv"));
        assert!(allowed("ai.onnx.ml", "TreeEnsembleRegressor"));
        assert!(allowed("com.microsoft", "QLinearAdd"));
        // It reads a file that the model names.
        assert!(!allowed("com.microsoft", "EPContext"));
        assert!(!allowed("com.microsoft", "BeamSearch"));
        assert!(!allowed("com.example", "Conv"));
        // What they are fed is where they go.
        for operator in [
            "ConvTransposeWithDynamicPads",
            "EmbedLayerNormalization",
            "GroupQueryAttention",
        ] {
            assert!(!allowed("com.microsoft", operator), "{operator}");
        }
    }

    #[test]
    fn what_the_library_has_is_known_without_a_model() {
        for (domain, operator) in [
            ("", "Abs"),
            ("", "Loop"),
            ("ai.onnx", "Xor"),
            ("ai.onnx.ml", "TreeEnsembleRegressor"),
        ] {
            assert_eq!(supported(domain, operator), Some(true), "{operator}");
        }
        for operator in ["ImageDecoder", "RegexFullMatch"] {
            assert_eq!(supported("", operator), Some(false), "{operator}");
        }
        assert_eq!(supported("", "NoSuch"), None);
        assert_eq!(supported("", ""), None);
    }

    #[test]
    fn the_operator_is_found_in_what_the_library_says() {
        let said = "Load model failed:Fatal error: ai.onnx:NoSuch(-1) is not a registered \
                    function/op";
        assert_eq!(missing(said).as_deref(), Some("NoSuch"));
        let said = "Error No Op registered for NoSuch with domain_version of 17";
        assert_eq!(missing(said).as_deref(), Some("NoSuch"));
        let said = "Could not find an implementation for BitShift(11) node with name ''";
        assert_eq!(missing(said).as_deref(), Some("BitShift"));
        assert_eq!(missing("Protobuf parsing failed."), None);
    }
}
