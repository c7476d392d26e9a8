#include "io/pth/pickle_writer.h"

#include <cstdint>
#include <cstring>
#include <map>

#include "base/error.h"

namespace rk::pth {
namespace {

// The name of a dtype's storage; none: the dtype exists only beside an untyped storage.
const char* storage_name(DType t) {
  switch (t) {
    case DType::f64: return "DoubleStorage";
    case DType::f32: return "FloatStorage";
    case DType::bf16: return "BFloat16Storage";
    case DType::f16: return "HalfStorage";
    case DType::i64: return "LongStorage";
    case DType::i32: return "IntStorage";
    case DType::i16: return "ShortStorage";
    case DType::i8: return "CharStorage";
    case DType::u8: return "ByteStorage";
    case DType::boolean: return "BoolStorage";
    case DType::u16: return nullptr;
  }
  return nullptr;
}

class Pickler {
 public:
  std::string dictionary(const std::vector<TensorInfo>& infos) {
    out_ = "\x80\x02}";
    put("q", 0);
    for (size_t i = 0; i < infos.size(); ++i) {
      if (i % 1000 == 0) out_ += '(';  // as pickle batches items
      text(infos[i].name);
      tensor(infos[i], i);
      if (i % 1000 == 999 || i + 1 == infos.size()) out_ += 'u';
    }
    return out_ + '.';
  }

 private:
  void put(const char* opcode, uint8_t byte) {
    out_ += opcode;
    out_ += static_cast<char>(byte);
  }
  void bytes(uint64_t v, int n) {
    for (int i = 0; i < n; ++i) out_ += static_cast<char>(v >> (8 * i) & 0xff);
  }
  void text(const std::string& t) {
    out_ += 'X';
    bytes(t.size(), 4);
    out_ += t;
  }
  void integer(int64_t v) {
    if (v < 256) {
      put("K", static_cast<uint8_t>(v));
    } else if (v <= INT32_MAX) {
      out_ += 'J';
      bytes(static_cast<uint64_t>(v), 4);
    } else {
      out_ += "\x8a\x08";
      bytes(static_cast<uint64_t>(v), 8);
    }
  }
  void integers(const std::vector<int64_t>& values) {
    out_ += '(';
    for (int64_t v : values) integer(v);
    out_ += 't';
  }
  // A global, remembered at its first use.
  void global(const std::string& module_and_name) {
    const auto [it, is_new] = places_.emplace(module_and_name, static_cast<uint8_t>(places_.size() + 1));
    if (!is_new) return put("h", it->second);
    out_ += 'c' + module_and_name + '\n';
    put("q", it->second);
  }

  void tensor(const TensorInfo& t, size_t key) {
    const char* storage = storage_name(t.dtype);
    global(storage ? "torch._utils\n_rebuild_tensor_v2" : "torch._utils\n_rebuild_tensor_v3");
    out_ += "((";
    text("storage");
    global(storage ? cat("torch\n", storage) : "torch.storage\nUntypedStorage");
    text(std::to_string(key));
    text("cpu");
    integer(storage ? t.numel() : t.numel() * static_cast<int64_t>(size_of(t.dtype)));
    out_ += "tQ";
    integer(0);
    integers(t.shape);
    integers(row_major_strides(t.shape));
    out_ += '\x89';
    global("collections\nOrderedDict");
    out_ += ")R";
    if (!storage) global("torch\nuint16");
    out_ += "tR";
  }

  static std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape) {
    std::vector<int64_t> strides(shape.size(), 1);
    for (size_t k = shape.size(); k-- > 1;) strides[k - 1] = strides[k] * std::max<int64_t>(shape[k], 1);
    return strides;
  }

  std::string out_;
  std::map<std::string, uint8_t> places_;
};

}  // namespace

std::string pickle_of(const std::vector<TensorInfo>& infos) { return Pickler().dictionary(infos); }

}  // namespace rk::pth
