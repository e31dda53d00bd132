//! The operators that models may use: ONNX's own, and of the library's additions
//! those that only compute.

/// Of `com.microsoft`: what its tools write when they quantise and optimise. None
/// of them reads files, calls others' code, or loops.
const ADDED: [&str; 38] = [
    "Attention",
    "BiasGelu",
    "BiasSplitGelu",
    "ConvTransposeWithDynamicPads",
    "DequantizeLinear",
    "DynamicQuantizeLSTM",
    "DynamicQuantizeMatMul",
    "EmbedLayerNormalization",
    "FastGelu",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "FusedMatMulActivation",
    "Gelu",
    "GroupQueryAttention",
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
/// what the classical models of `ai.onnx.ml` are made of.
pub(super) fn supported(domain: &str, operator: &str) -> Option<bool> {
    match domain {
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
    use super::{ADDED, allowed, missing};

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
