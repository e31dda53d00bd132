//! Compares a component's type with a type of the contract, written as text:
//! `func(list<u8>)->result<_,string>`, without the names of parameters.
//!
//! Every step uses up some of the text, so the work is bounded by it, however
//! a component nests its types.

use wasmparser::component_types::{
    ComponentDefinedType, ComponentEntityType, ComponentFuncType, ComponentValType,
};
use wasmparser::types::TypesRef;

/// Whether `item` is what `text` says.
pub(super) fn is(types: TypesRef<'_>, item: &ComponentEntityType, text: &str) -> bool {
    let ComponentEntityType::Func(function) = item else {
        return false;
    };
    let mut rest = Rest { types, text };
    let same = types.get(*function).is_some_and(|func| rest.func(func));
    same && rest.text.is_empty()
}

/// What is still to be matched. Each function is true if its part was there.
struct Rest<'a> {
    types: TypesRef<'a>,
    text: &'a str,
}

impl Rest<'_> {
    fn eat(&mut self, part: &str) -> bool {
        let rest = self.text.strip_prefix(part);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    /// `parts` with commas between them.
    fn list<T>(
        &mut self,
        parts: impl IntoIterator<Item = T>,
        mut one: impl FnMut(&mut Self, T) -> bool,
    ) -> bool {
        let mut parts = parts.into_iter().enumerate();
        parts.all(|(index, part)| (index == 0 || self.eat(",")) && one(self, part))
    }

    fn func(&mut self, func: &ComponentFuncType) -> bool {
        !func.async_
            && self.eat("func(")
            && self.list(&func.params, |rest, (_, ty)| rest.value(ty))
            && self.eat(")->")
            && func.result.is_some_and(|ty| self.value(&ty))
    }

    fn optional(&mut self, ty: Option<&ComponentValType>) -> bool {
        match ty {
            Some(ty) => self.value(ty),
            None => self.eat("_"),
        }
    }

    fn value(&mut self, ty: &ComponentValType) -> bool {
        let id = match ty {
            ComponentValType::Primitive(primitive) => return self.eat(&primitive.to_string()),
            ComponentValType::Type(id) => *id,
        };
        let types = self.types;
        let Some(defined) = types.get(id) else {
            return false;
        };
        match defined {
            ComponentDefinedType::Primitive(primitive) => self.eat(&primitive.to_string()),
            ComponentDefinedType::Record(record) => {
                self.eat("record{")
                    && self.list(&record.fields, |rest, (name, ty)| {
                        rest.eat(name.as_str()) && rest.eat(":") && rest.value(ty)
                    })
                    && self.eat("}")
            }
            ComponentDefinedType::Variant(variant) => {
                self.eat("variant{")
                    && self.list(&variant.cases, |rest, (name, case)| {
                        let payload = case.ty.as_ref();
                        rest.eat(name.as_str())
                            && payload
                                .is_none_or(|ty| rest.eat("(") && rest.value(ty) && rest.eat(")"))
                    })
                    && self.eat("}")
            }
            ComponentDefinedType::List { element, .. } => {
                self.eat("list<") && self.value(element) && self.eat(">")
            }
            ComponentDefinedType::Tuple(tuple) => {
                self.eat("tuple<") && self.list(&tuple.types, Self::value) && self.eat(">")
            }
            ComponentDefinedType::Option { ty, .. } => {
                self.eat("option<") && self.value(ty) && self.eat(">")
            }
            ComponentDefinedType::Result { ok, err, .. } => {
                self.eat("result<")
                    && self.optional(ok.as_ref())
                    && self.eat(",")
                    && self.optional(err.as_ref())
                    && self.eat(">")
            }
            // The contract has none of the others.
            _ => false,
        }
    }
}
