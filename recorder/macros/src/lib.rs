//! The attribute `#[ringscope::instrument]`; use it through the crate `ringscope`, which documents it.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, ItemFn, LitStr, Token, parenthesized, parse_macro_input};

/// Records one span a call of the function; see `ringscope::instrument`.
#[proc_macro_attribute]
pub fn instrument(options: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as Options);
    let function = parse_macro_input!(item as ItemFn);
    instrumented(&options, function).into()
}

/// What stands in the attribute's parentheses.
#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    /// `cat` and `level`, as the span macros take them.
    settings: Vec<Tokens>,
    /// Arguments, as the span macros take them.
    args: Tokens,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Options> {
        let mut options = Options::default();
        for option in Punctuated::<ItemOption, Token![,]>::parse_terminated(input)? {
            match option {
                ItemOption::Name(name) => options.name = Some(name),
                ItemOption::Setting(tokens) => options.settings.push(tokens),
                ItemOption::Args(tokens) => options.args = tokens,
            }
        }
        Ok(options)
    }
}

enum ItemOption {
    Name(LitStr),
    Setting(Tokens),
    Args(Tokens),
}

impl Parse for ItemOption {
    fn parse(input: ParseStream<'_>) -> syn::Result<ItemOption> {
        let key: Ident = input.parse()?;
        match key.to_string().as_str() {
            "name" => {
                input.parse::<Token![=]>()?;
                Ok(ItemOption::Name(input.parse()?))
            }
            "cat" => {
                input.parse::<Token![=]>()?;
                let category: LitStr = input.parse()?;
                Ok(ItemOption::Setting(quote!(#key = #category)))
            }
            "level" => {
                input.parse::<Token![=]>()?;
                let level: Ident = input.parse()?;
                Ok(ItemOption::Setting(quote!(#key = #level)))
            }
            "args" => {
                let inner;
                parenthesized!(inner in input);
                Ok(ItemOption::Args(inner.parse()?))
            }
            other => Err(syn::Error::new(
                key.span(),
                format!("expected `name`, `cat`, `level` or `args`, found `{other}`"),
            )),
        }
    }
}

fn instrumented(options: &Options, function: ItemFn) -> Tokens {
    let ItemFn {
        attrs,
        vis,
        sig,
        block,
        ..
    } = function;
    let name = options
        .name
        .clone()
        .unwrap_or_else(|| LitStr::new(&sig.ident.to_string(), sig.ident.span()));
    let (settings, args) = (&options.settings, &options.args);
    let span_input = quote!(#name, #(#settings,)* #args);
    if sig.asyncness.is_some() {
        quote! {
            #(#attrs)* #vis #sig {
                let __ringscope_span = ::ringscope::future_span!(#span_input);
                ::ringscope::InSpan::in_span(async move #block, __ringscope_span).await
            }
        }
    } else {
        quote! {
            #(#attrs)* #vis #sig {
                let __ringscope_span = ::ringscope::span!(#span_input);
                #block
            }
        }
    }
}
