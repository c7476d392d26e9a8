// A reader of the pickle streams that torch.save writes: data only.
//
// It knows a fixed set of opcodes and a fixed list of (module, name) pairs, and builds values of its own kinds from them. No code of the
// stream is ever run, because there is nothing here that could run it. Values live in one table and refer to each other by index, so
// that depth, sharing and cycles cost neither stack nor copies. All lengths are checked against the bytes that are there.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace rk::pickle {

constexpr uint64_t max_stream_bytes = 16 << 20;  // a checkpoint's pickle holds names and shapes: some 200 bytes a tensor
// Limits that keep a hostile stream within some 100 MiB; far above what models need.
constexpr size_t max_values = 2 << 20, max_memo = 1 << 20, max_tensors = 1 << 17, max_rank = 32, max_items = 1 << 20, max_owned_bytes = 16 << 20;

enum class Kind : uint8_t {
  none,
  boolean,
  integer,
  big_integer,  // little-endian two's complement of more than 8 bytes
  real,
  text,
  bytes,
  list,
  tuple,
  dict,
  ordered_dict,
  set,
  frozen_set,
  callable,  // of the allow list
  dtype,     // torch.float32 ...
  device,    // a text: device(type='cpu')
  storage,
  tensor,
};

using Ref = uint32_t;

struct Value {
  Kind kind = Kind::none;
  bool hashable = false;
  uint32_t n = 0;  // bytes of a text, items of a tuple; elsewhere the index into lists, storages, tensors
  union {
    int64_t integer = 0;
    double real;
    const char* text;
    size_t first;  // of a tuple's items
  };

  Value() = default;
  explicit Value(Kind k, bool can_be_key = false, size_t size = 0) : kind(k), hashable(can_be_key), n(static_cast<uint32_t>(size)) {}
};

// ("storage", type, key, location, numel[, view]).
struct Storage {
  std::string_view key;
  const char* type = "";       // "FloatStorage"
  bool untyped = false;        // numel counts bytes
  std::optional<DType> dtype;  // none: untyped, or a type that is named but not read
  size_t element_bytes = 1;
  int64_t numel = 0;
  // Legacy streams: elements [view_offset, view_offset + numel) of a base of base_numel elements.
  int64_t view_offset = 0, base_numel = 0;
};

struct Tensor {
  size_t storage = 0;  // index
  DType dtype = DType::f32;
  int64_t offset = 0;  // in elements
  std::vector<int64_t> shape, stride;
  bool requires_grad = false;
};

// What one stream holds. Texts point into the stream.
struct Object {
  std::vector<Value> values;
  std::vector<Ref> tuple_items;
  std::vector<std::vector<Ref>> containers;  // items of lists and sets; keys and values of dictionaries in turn
  std::vector<Storage> storages;
  std::vector<Tensor> tensors;
  std::deque<std::string> owned;  // texts that are not in the stream
  Ref root = 0;
  size_t end = 0;  // bytes of the stream that were read

  const Value& at(Ref r) const { return values[r]; }
  std::string_view text(Ref r) const { return {values[r].text, values[r].n}; }
  std::span<const Ref> items(Ref r) const;  // of list, tuple, set, dictionary
};

enum class Layout : uint8_t { zip, legacy };

// Reads one object. `name` ("model.pth: data.pkl") and `origin` (added to offsets) serve errors.
struct Source {
  std::string name;
  std::span<const std::byte> bytes;
  size_t origin = 0;
  Layout layout = Layout::zip;
};
Object parse(const Source& source);

// As Python prints it, for keys and messages: 3, 'name', (1, 2).
std::string repr(const Object& o, Ref r);

}  // namespace rk::pickle
