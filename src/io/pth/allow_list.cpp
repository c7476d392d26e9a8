#include "io/pth/allow_list.h"

namespace rk::pickle {
namespace {

using F = Function;

constexpr Global globals[] = {
    {"collections", "OrderedDict", F::ordered_dict, {}},
    {"torch._utils", "_rebuild_tensor_v2", F::rebuild_tensor_v2, {}},
    {"torch._utils", "_rebuild_tensor_v3", F::rebuild_tensor_v3, {}},
    {"torch._utils", "_rebuild_parameter", F::rebuild_parameter, {}},
    {"torch", "FloatStorage", F::storage, DType::f32, 4},
    {"torch", "DoubleStorage", F::storage, DType::f64, 8},
    {"torch", "HalfStorage", F::storage, DType::f16, 2},
    {"torch", "BFloat16Storage", F::storage, DType::bf16, 2},
    {"torch", "LongStorage", F::storage, DType::i64, 8},
    {"torch", "IntStorage", F::storage, DType::i32, 4},
    {"torch", "ShortStorage", F::storage, DType::i16, 2},
    {"torch", "CharStorage", F::storage, DType::i8, 1},
    {"torch", "ByteStorage", F::storage, DType::u8, 1},
    {"torch", "BoolStorage", F::storage, DType::boolean, 1},
    {"torch", "ComplexFloatStorage", F::storage, {}, 8},
    {"torch", "ComplexDoubleStorage", F::storage, {}, 16},
    {"torch.storage", "UntypedStorage", F::untyped_storage, {}, 1},
    {"torch", "Size", F::size, {}},
    {"torch", "device", F::device, {}},
    {"torch", "float64", F::dtype, DType::f64, 8},
    {"torch", "float32", F::dtype, DType::f32, 4},
    {"torch", "float16", F::dtype, DType::f16, 2},
    {"torch", "bfloat16", F::dtype, DType::bf16, 2},
    {"torch", "int64", F::dtype, DType::i64, 8},
    {"torch", "int32", F::dtype, DType::i32, 4},
    {"torch", "int16", F::dtype, DType::i16, 2},
    {"torch", "int8", F::dtype, DType::i8, 1},
    {"torch", "uint8", F::dtype, DType::u8, 1},
    {"torch", "uint16", F::dtype, DType::u16, 2},
    {"torch", "bool", F::dtype, DType::boolean, 1},
    {"torch", "uint32", F::dtype, {}, 4},
    {"torch", "uint64", F::dtype, {}, 8},
    {"torch", "complex64", F::dtype, {}, 8},
    {"torch", "complex128", F::dtype, {}, 16},
    {"torch", "float8_e4m3fn", F::dtype, {}, 1},
    {"torch", "float8_e5m2", F::dtype, {}, 1},
    {"_codecs", "encode", F::encode, {}},
    {"__builtin__", "set", F::set, {}},
    {"builtins", "set", F::set, {}},
};

}  // namespace

std::span<const Global> allow_list() { return globals; }

const Global* find_global(std::string_view module, std::string_view name) {
  for (const Global& g : globals)
    if (g.module == module && g.name == name) return &g;
  return nullptr;
}

}  // namespace rk::pickle
