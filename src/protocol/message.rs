//! The one definition of a message, from which its struct, its JSON codec and its Protobuf codec come.

use crate::protocol::Malformed;
use crate::protocol::json::scan::Scanner;
use crate::protocol::json::write::Writer;
use crate::protocol::proto::{Reader, Wire};
use crate::protocol::shape::Shape;

/// What [`message`] makes of a definition. The codecs in `json` and `proto` work on any message.
pub trait Message<'a>: Default {
    /// Reads the value of the member `key`, lower case. False, with nothing read, when there is no such field.
    fn json_field(&mut self, key: &[u8], scan: &mut Scanner<'a>) -> Result<bool, Malformed>;

    /// Writes the members, without the braces.
    fn json_fields(&self, writer: &mut Writer<'_>);

    /// Reads a field. False, with nothing read, when there is no such field.
    fn proto_field(&mut self, number: u32, wire: Wire, reader: &mut Reader<'a>) -> Result<bool, Malformed>;

    /// Length in bytes of what [`Message::proto_fields`] writes.
    fn proto_len(&self) -> usize;

    /// Writes the fields, without a length in front.
    fn proto_fields(&self, out: &mut Vec<u8>);

    /// Called behind the last field that was read.
    fn finish(&mut self);

    /// What the message looks like.
    fn shape() -> Shape;
}

/// Defines messages.
///
/// ```text
/// /// Doc.
/// Name<'a> {                       // without <'a> when no field borrows
///     /// Doc.
///     field: kind = number flags,
/// }
/// ```
///
/// | kind | Rust type |
/// |---|---|
/// | `string` | `Cow<'a, str>` |
/// | `bytes` | `Raw<'a>` |
/// | `bool` `uint32` `int32` `uint64` `int64` `sint64` `double` | the number |
/// | `(T<'a>)` | `Option<T<'a>>`, in place: no allocation, for small messages and those on the hot path |
/// | `(box T<'a>)` | `Option<Box<T<'a>>>` |
/// | `[kind]` | `Vec` (`[(T<'a>)]` for messages) |
/// | `{kind}` | map with text as keys: a `Vec` of pairs, after decoding sorted by key and each key once |
///
/// Flags: `always` writes the field in JSON even when it is zero; `secret` hides it from `Debug`.
macro_rules! message {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident $(<$life:lifetime>)? {
            $( $(#[doc = $field_doc:literal])* $field:ident : $kind:tt = $number:literal $($flag:ident)* ),* $(,)?
        }
    )*) => { $(
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Default)]
        pub struct $name $(<$life>)? {
            $(
                $(#[doc = $field_doc])*
                #[doc = concat!("\n\nField ", $number, ".")]
                pub $field: $crate::protocol::message::message!(@type $kind),
            )*
        }

        impl<'a> $crate::protocol::message::Message<'a> for $name $(<$life>)? {
            #[inline]
            fn json_field(
                &mut self,
                key: &[u8],
                scan: &mut $crate::protocol::json::scan::Scanner<'a>,
            ) -> Result<bool, $crate::protocol::Malformed> {
                let _ = (key, &scan);
                $(
                    if key == $crate::protocol::message::message!(@name $field).as_bytes() {
                        <$crate::protocol::message::message!(@codec $kind) as $crate::protocol::field::Field<'a>>
                            ::json_read(&mut self.$field, scan)?;
                        return Ok(true);
                    }
                )*
                Ok(false)
            }

            #[inline]
            fn json_fields(&self, writer: &mut $crate::protocol::json::write::Writer<'_>) {
                let _ = &writer;
                $(
                    let always = $crate::protocol::message::message!(@has always $($flag)*);
                    if always || !<$crate::protocol::message::message!(@codec $kind)
                        as $crate::protocol::field::Field<'a>>::is_zero(&self.$field)
                    {
                        writer.key(concat!("\"", $crate::protocol::message::message!(@name $field), "\":"));
                        <$crate::protocol::message::message!(@codec $kind) as $crate::protocol::field::Field<'a>>
                            ::json_write(&self.$field, writer);
                    }
                )*
            }

            #[inline]
            fn proto_field(
                &mut self,
                number: u32,
                wire: $crate::protocol::proto::Wire,
                reader: &mut $crate::protocol::proto::Reader<'a>,
            ) -> Result<bool, $crate::protocol::Malformed> {
                let _ = (wire, &reader);
                match number {
                    $(
                        $number => {
                            <$crate::protocol::message::message!(@codec $kind) as $crate::protocol::field::Field<'a>>
                                ::proto_read(&mut self.$field, wire, reader)?;
                            Ok(true)
                        }
                    )*
                    _ => Ok(false),
                }
            }

            #[inline]
            fn proto_len(&self) -> usize {
                0 $(
                    + <$crate::protocol::message::message!(@codec $kind) as $crate::protocol::field::Field<'a>>
                        ::proto_len($number, &self.$field)
                )*
            }

            #[inline]
            fn proto_fields(&self, out: &mut Vec<u8>) {
                let _ = &out;
                $(
                    <$crate::protocol::message::message!(@codec $kind) as $crate::protocol::field::Field<'a>>
                        ::proto_write($number, &self.$field, out);
                )*
            }

            fn shape() -> $crate::protocol::shape::Shape {
                $crate::protocol::shape::Shape {
                    name: stringify!($name),
                    doc: &[$($doc),*],
                    fields: vec![$(
                        $crate::protocol::shape::FieldShape {
                            name: $crate::protocol::message::message!(@name $field),
                            doc: &[$($field_doc),*],
                            kind: <$crate::protocol::message::message!(@codec $kind)
                                as $crate::protocol::field::Field<'a>>::kind(),
                        }
                    ),*],
                }
            }

            #[inline]
            fn finish(&mut self) {
                $(
                    <$crate::protocol::message::message!(@codec $kind) as $crate::protocol::field::Field<'a>>
                        ::finish(&mut self.$field);
                )*
            }
        }

        impl $(<$life>)? std::fmt::Debug for $name $(<$life>)? {
            /// Shows the fields that are set, secrets hidden.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut shown = f.debug_struct(stringify!($name));
                $(
                    if !<$crate::protocol::message::message!(@codec $kind)
                        as $crate::protocol::field::Field<'_>>::is_zero(&self.$field)
                    {
                        if $crate::protocol::message::message!(@has secret $($flag)*) {
                            shown.field($crate::protocol::message::message!(@name $field), &format_args!("<hidden>"));
                        } else {
                            shown.field($crate::protocol::message::message!(@name $field), &self.$field);
                        }
                    }
                )*
                shown.finish()
            }
        }
    )* };

    (@name r#pub) => { "pub" };
    (@name r#type) => { "type" };
    (@name r#override) => { "override" };
    (@name $name:ident) => { stringify!($name) };

    (@has $wanted:ident) => { false };
    (@has always always $($rest:ident)*) => { true };
    (@has secret secret $($rest:ident)*) => { true };
    (@has $wanted:ident $other:ident $($rest:ident)*) => {
        $crate::protocol::message::message!(@has $wanted $($rest)*)
    };

    (@type string) => { std::borrow::Cow<'a, str> };
    (@type bytes) => { $crate::protocol::raw::Raw<'a> };
    (@type bool) => { bool };
    (@type uint32) => { u32 };
    (@type int32) => { i32 };
    (@type uint64) => { u64 };
    (@type int64) => { i64 };
    (@type sint64) => { i64 };
    (@type double) => { f64 };
    (@type (box $name:ident $(<$life:lifetime>)?)) => { Option<Box<$name $(<$life>)?>> };
    (@type ($name:ident $(<$life:lifetime>)?)) => { Option<$name $(<$life>)?> };
    (@type [ $kind:tt ]) => { Vec<$crate::protocol::message::message!(@element_type $kind)> };
    (@type { $kind:tt }) => {
        Vec<(std::borrow::Cow<'a, str>, $crate::protocol::message::message!(@element_type $kind))>
    };

    (@element_type ($name:ident $(<$life:lifetime>)?)) => { $name $(<$life>)? };
    (@element_type $kind:tt) => { $crate::protocol::message::message!(@type $kind) };

    (@codec (box $name:ident $(<$life:lifetime>)?)) => { $crate::protocol::field::Boxed<$name $(<$life>)?> };
    (@codec ($name:ident $(<$life:lifetime>)?)) => { $crate::protocol::field::InPlace<$name $(<$life>)?> };
    (@codec [ $kind:tt ]) => {
        $crate::protocol::field::Repeated<$crate::protocol::message::message!(@element $kind)>
    };
    (@codec { $kind:tt }) => {
        $crate::protocol::field::Map<$crate::protocol::message::message!(@element $kind)>
    };
    (@codec $kind:tt) => {
        $crate::protocol::field::Plain<$crate::protocol::message::message!(@element $kind)>
    };

    (@element string) => { $crate::protocol::field::Text };
    (@element bytes) => { $crate::protocol::field::Bytes };
    (@element bool) => { $crate::protocol::field::Bool };
    (@element uint32) => { $crate::protocol::field::Uint32 };
    (@element int32) => { $crate::protocol::field::Int32 };
    (@element uint64) => { $crate::protocol::field::Uint64 };
    (@element int64) => { $crate::protocol::field::Int64 };
    (@element sint64) => { $crate::protocol::field::Sint64 };
    (@element double) => { $crate::protocol::field::Double };
    (@element ($name:ident $(<$life:lifetime>)?)) => { $crate::protocol::field::Nested<$name $(<$life>)?> };
}

pub(crate) use message;
