//! The one macro that plugin authors see.

/// Exports a type as a plugin: `export!(Hot: Filter)` or
/// `export!(Modbus: Lifecycle, Service)`.
///
/// The names after the colon are the traits of this crate that the type
/// implements; the component exports exactly these. Without `Lifecycle` the
/// plugin is made by [`Default`].
#[macro_export]
macro_rules! export {
    ($plugin:ty: Lifecycle $(, $what:ident)* $(,)?) => {
        $crate::__export!($plugin, <$plugin as $crate::Lifecycle>::init, Lifecycle $(, $what)*);
    };
    ($plugin:ty: $($what:ident),+ $(,)?) => {
        $crate::__export!(
            $plugin,
            |_: &$crate::Config| Ok(<$plugin as ::core::default::Default>::default())
            $(, $what)+
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($plugin:ty, $make:expr $(, $what:ident)+) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            ::std::thread_local! {
                static PLUGIN: ::std::cell::RefCell<::core::option::Option<$plugin>> =
                    const { ::std::cell::RefCell::new(None) };
            }

            /// Makes the plugin on the first call, whichever that is.
            fn with<T>(
                call: impl FnOnce(&mut $plugin) -> T,
            ) -> ::core::result::Result<T, ::std::string::String> {
                PLUGIN.with_borrow_mut(|slot| {
                    if slot.is_none() {
                        let make: fn(
                            &$crate::Config,
                        )
                            -> ::core::result::Result<$plugin, ::std::string::String> = $make;
                        let config = $crate::Config::load()?;
                        *slot = Some(make(&config)?);
                    }
                    Ok(call(slot.as_mut().expect("made above")))
                })
            }

            struct Glue;
            $($crate::__export_one!($what, Glue, with);)+
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_one {
    (Lifecycle, $glue:ident, $with:ident) => {
        impl $crate::bindings::lifecycle::exports::selvedge::plugin::lifecycle::Guest for $glue {
            fn init() -> ::core::result::Result<(), ::std::string::String> {
                $with(|_| ())
            }
        }
        $crate::bindings::lifecycle::export_lifecycle!(
            $glue with_types_in $crate::bindings::lifecycle
        );
    };
    (Filter, $glue:ident, $with:ident) => {
        $crate::__export_one!(@subscriber $glue, $with, |plugin, messages| {
            $crate::__filter_batch(plugin, messages, $crate::publish_all)
        });
    };
    (Subscriber, $glue:ident, $with:ident) => {
        $crate::__export_one!(@subscriber $glue, $with, |plugin, messages| {
            $crate::Subscriber::handle_batch(plugin, &messages)
        });
    };
    (@subscriber $glue:ident, $with:ident, |$plugin:ident, $messages:ident| $body:expr) => {
        impl $crate::bindings::subscriber::exports::selvedge::bus::subscriber::Guest for $glue {
            fn handle(
                $messages: ::std::vec::Vec<$crate::Message>,
            ) -> ::core::result::Result<(), ::std::vec::Vec<$crate::__WitFailure>> {
                let count = $messages.len();
                $crate::__to_wit(count, $with(|$plugin| $body))
            }
        }
        $crate::bindings::subscriber::export_subscriber!(
            $glue with_types_in $crate::bindings::subscriber
        );
    };
    (Ticker, $glue:ident, $with:ident) => {
        impl $crate::bindings::ticker::exports::selvedge::plugin::ticker::Guest for $glue {
            fn tick() -> ::core::result::Result<::core::option::Option<u32>, ::std::string::String> {
                $with(|plugin| $crate::Ticker::tick(plugin))?
            }
        }
        $crate::bindings::ticker::export_ticker!($glue with_types_in $crate::bindings::ticker);
    };
    (Service, $glue:ident, $with:ident) => {
        impl $crate::bindings::service::exports::selvedge::plugin::service::Guest for $glue {
            fn run() -> ::core::result::Result<(), ::std::string::String> {
                $with(|plugin| $crate::Service::run(plugin))?
            }
        }
        $crate::bindings::service::export_service!($glue with_types_in $crate::bindings::service);
    };
    (Stateful, $glue:ident, $with:ident) => {
        impl $crate::bindings::stateful::exports::selvedge::plugin::stateful::Guest for $glue {
            fn snapshot()
                -> $crate::bindings::stateful::exports::selvedge::plugin::stateful::State
            {
                // A state that is not there must not be taken for an empty one.
                let (schema, data) = $with($crate::__snapshot).expect("the plugin was made");
                $crate::bindings::stateful::exports::selvedge::plugin::stateful::State {
                    schema,
                    data,
                }
            }
            fn restore(
                state: $crate::bindings::stateful::exports::selvedge::plugin::stateful::State,
            ) -> ::core::result::Result<(), ::std::string::String> {
                $with(|plugin| $crate::__restore(plugin, state.schema, &state.data))?
            }
        }
        $crate::bindings::stateful::export_stateful!($glue with_types_in $crate::bindings::stateful);
    };
    (Authorizer, $glue:ident, $with:ident) => {
        impl $crate::bindings::authorizer::exports::selvedge::plugin::authorizer::Guest for $glue {
            fn authorize(
                request: $crate::bindings::authorizer::exports::selvedge::plugin::authorizer::Request,
            ) -> ::core::result::Result<
                $crate::bindings::authorizer::exports::selvedge::plugin::authorizer::Permission,
                ::std::string::String,
            > {
                let request = $crate::AuthorizeRequest {
                    device: request.device,
                    client_id: request.client_id,
                    username: request.username,
                    password: request.password,
                    address: request.address,
                };
                let permission =
                    $with(|plugin| $crate::Authorizer::authorize(plugin, &request))??;
                Ok(
                    $crate::bindings::authorizer::exports::selvedge::plugin::authorizer::Permission {
                        device: permission.device,
                        publish: permission.publish,
                        subscribe: permission.subscribe,
                        valid_s: permission.valid_s,
                    },
                )
            }
        }
        $crate::bindings::authorizer::export_authorizer!(
            $glue with_types_in $crate::bindings::authorizer
        );
    };
}

pub(crate) mod glue {
    use crate::bindings::subscriber::exports::selvedge::bus::subscriber;
    use crate::{Error, Failure};

    /// A batch's outcome in the contract's terms. A plugin that could not be
    /// made has handled nothing.
    pub fn to_wit(
        count: usize,
        outcome: Result<Result<(), Vec<Failure>>, String>,
    ) -> Result<(), Vec<subscriber::Failure>> {
        let failures = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failures)) => failures,
            Err(reason) => (0..)
                .take(count)
                .map(|index| Failure {
                    index,
                    error: Error::retry(&reason),
                })
                .collect(),
        };
        Err(failures.into_iter().map(failure_to_wit).collect())
    }

    fn failure_to_wit(failure: Failure) -> subscriber::Failure {
        let disposition = match failure.error {
            Error::Retry(reason) => subscriber::Disposition::Retry(reason),
            Error::Reject(reason) => subscriber::Disposition::Reject(reason),
        };
        subscriber::Failure {
            index: failure.index,
            disposition,
        }
    }
}
