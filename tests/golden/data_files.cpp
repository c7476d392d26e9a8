// Files of weights: every value, shape, stride and sharing of valid ones; the outcome of hostile ones.
#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <memory>

#include "base/error.h"
#include "golden/guarded_open.h"
#include "golden/handlers.h"
#include "io/convert.h"
#include "io/pth/pth.h"

namespace rk::golden {
namespace {

using nlohmann::json;
using pickle::Kind;
using pickle::Ref;

constexpr const char* payload = "rookery_pwned";

void check_keys(const json& item, std::initializer_list<const char*> known, Check& check) {
  for (const auto& [key, value] : item.items()) {
    const bool ok = std::any_of(known.begin(), known.end(), [&k = key](const char* name) { return k == name; });
    if (!ok) check.fail(cat("unknown option ", key));
  }
}

// The outcome, which must be an acceptable one; an error must name the file.
std::string outcome_of(const Case& c, const json& item, Check& check) {
  const std::string file = item.at("file");
  const Opened opened = guarded_open(c.path(file), payload);
  const json& accept = item.at("accept");
  const bool acceptable = std::find(accept.begin(), accept.end(), json(opened.outcome)) != accept.end();
  check.exact(cat(file, ": ", opened.outcome, " ", opened.message), acceptable);
  if (opened.outcome == "error")
    check.exact(cat(file, ": the error names the file: ", opened.message), opened.message.find(file) != std::string::npos);
  return opened.outcome;
}

bool same_number(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b) || (std::isnan(a) && std::isnan(b));
}

void check_values(const std::string& what, TensorReader& reader, size_t index, const Hdf5Reader& expected, const std::string& dataset,
                  Check& check) {
  check.mark_read(dataset);
  if (!expected.has(dataset)) return check.fail(cat("no dataset ", dataset));
  const TensorInfo& t = reader.tensors()[index];
  const auto n = static_cast<size_t>(t.numel());
  check.exact(cat(what, " shape"), expected.info(dataset).shape == t.shape);
  if (expected.info(dataset).shape != t.shape) return;
  if (is_float(t.dtype)) {
    std::vector<double> x(n);
    reader.read_as<double>(index, 0, t.numel(), x.data());
    check.exact(what, std::ranges::equal(x, expected.read_doubles(dataset), same_number));
    return;
  }
  std::vector<std::byte> stored(n * size_of(t.dtype));
  reader.read(index, 0, t.numel(), stored.data());
  std::vector<int64_t> x(n);
  convert_elements(t.dtype, stored.data(), DType::i64, x.data(), t.numel());
  check.exact(what, x == expected.read_ints(dataset));
}

void mark_all(const json& item, Check& check) {
  for (const json& t : item.value("tensors", json::array())) check.mark_read(t.at("h5"));
}

// ---- .pth

bool same_path(const std::vector<pth::PathKey>& path, const json& expected) {
  if (path.size() != expected.size()) return false;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i].is_text != expected[i].is_string()) return false;
    if (path[i].text != (expected[i].is_string() ? expected[i].get<std::string>() : expected[i].dump())) return false;
  }
  return true;
}

std::string decimal(std::string_view bytes) {
  const bool negative = static_cast<uint8_t>(bytes.back()) & 0x80u;
  std::string digits = "0";
  auto times256_plus = [&](unsigned carry) {
    for (char& d : digits) {
      carry += static_cast<unsigned>(d - '0') * 256;
      d = static_cast<char>('0' + carry % 10);
      carry /= 10;
    }
    for (; carry > 0; carry /= 10) digits += static_cast<char>('0' + carry % 10);
  };
  for (size_t i = bytes.size(); i-- > 0;) {
    const auto b = static_cast<uint8_t>(bytes[i]);
    times256_plus(negative ? 255u - b : b);
  }
  if (negative) {  // -(~x) - 1
    size_t i = 0;
    while (i < digits.size() && digits[i] == '9') digits[i++] = '0';
    if (i == digits.size()) digits += '0';
    ++digits[i];
    digits += '-';
  }
  return {digits.rbegin(), digits.rend()};
}

json integer_json(int64_t v) {
  constexpr int64_t exact = int64_t{1} << 53;
  return v >= -exact && v <= exact ? json(v) : json(cat("int:", v));
}

json bytes_json(std::string_view bytes) {
  std::string text = "bytes:";
  for (char c : bytes) {
    text += "0123456789abcdef"[static_cast<uint8_t>(c) >> 4];
    text += "0123456789abcdef"[static_cast<uint8_t>(c) & 15];
  }
  return text;
}

// The object as the case describes it. Cases of this kind are a few levels deep.
json object_json(const pickle::Object& o, Ref r, int depth = 0) {
  require(depth < 100, "a valid case nests a few levels");
  const pickle::Value& v = o.at(r);
  json j;
  switch (v.kind) {
    case Kind::none: return nullptr;
    case Kind::boolean: return v.integer != 0;
    case Kind::integer: return integer_json(v.integer);
    case Kind::big_integer: return cat("int:", decimal(o.text(r)));
    case Kind::real: return v.real;
    case Kind::text: return std::string(o.text(r));
    case Kind::bytes: return bytes_json(o.text(r));
    case Kind::dtype: return cat("torch.", v.text);
    case Kind::device: return std::string(o.text(r));
    case Kind::tensor: return "<tensor>";
    case Kind::callable:
    case Kind::storage: return "<other>";
    case Kind::list:
    case Kind::tuple:
      j = json::array();
      for (Ref item : o.items(r)) j.push_back(object_json(o, item, depth + 1));
      return j;
    case Kind::set:
    case Kind::frozen_set:
      j = json::array();
      for (Ref item : o.items(r)) j.push_back(pickle::repr(o, item));
      std::sort(j.begin(), j.end());
      return j;
    case Kind::dict:
    case Kind::ordered_dict: break;
  }
  j = json::object();
  const auto items = o.items(r);
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    const bool text = o.at(items[i]).kind == Kind::text;
    j[text ? std::string(o.text(items[i])) : pickle::repr(o, items[i])] = object_json(o, items[i + 1], depth + 1);
  }
  return j;
}

void check_pth_tensor(const std::string& file, const json& expected, PthReader& reader, const Hdf5Reader& h5,
                      std::map<int64_t, size_t>& groups, Check& check) {
  check_keys(expected, {"path", "h5", "dtype", "shape", "stride", "storage_offset", "storage", "requires_grad"}, check);
  const std::string what = cat(file, " ", expected.at("path").dump());
  for (size_t i = 0; i < reader.found().size(); ++i) {
    if (!same_path(reader.found()[i].path, expected.at("path"))) continue;
    const pickle::Tensor& t = reader.saved(i);
    check.exact(what + " dtype", name_of(t.dtype) == expected.at("dtype").get<std::string>());
    check.exact(what + " shape", json(t.shape) == expected.at("shape"));
    check.exact(what + " stride", json(t.stride) == expected.at("stride"));
    check.exact(what + " storage_offset", t.offset == expected.at("storage_offset").get<int64_t>());
    check.exact(what + " requires_grad", t.requires_grad == expected.at("requires_grad").get<bool>());
    // Equal numbers = the same storage, and different ones = different storages.
    const auto [it, is_new] = groups.emplace(expected.at("storage").get<int64_t>(), reader.blob(i));
    const auto sharers = std::count_if(groups.begin(), groups.end(), [&](const auto& g) { return g.second == reader.blob(i); });
    check.exact(what + " storage", it->second == reader.blob(i) && sharers == 1);
    return check_values(what, reader, i, h5, expected.at("h5"), check);
  }
  check.mark_read(expected.at("h5"));
  check.fail(what + " is missing");
}

void check_pth_file(const Case& c, const json& item, const Hdf5Reader& h5, Check& check) {
  const std::string file = item.at("file");
  PthReader reader(c.path(file));
  std::map<int64_t, size_t> groups;
  check.exact(file + ": number of tensors", reader.tensors().size() == item.at("tensors").size());
  for (const json& t : item.at("tensors")) check_pth_tensor(file, t, reader, h5, groups, check);
  check.exact(file + ": other values", object_json(reader.object(), reader.object().root) == item.at("other"));
}

// Both kinds of valid files: the same outcome rule, then the tensors.
template <class CheckFile>
void check_valid_items(const Case& c, Check& check, const CheckFile& check_file) {
  const Hdf5Reader h5(c.path("expected.h5"));
  for (const json& item : c.json.at("items")) {
    if (outcome_of(c, item, check) == "ok") {
      check_file(item, h5);
    } else {
      mark_all(item, check);
    }
  }
  check.all_read(h5, c.json.value("informative", json::array()));
}

}  // namespace

void run_pth_valid(const Case& c, const Options&, Check& check) {
  check_keys(c.json, {"kind", "what", "seed", "files", "items", "tolerance", "source", "informative"}, check);
  check_valid_items(c, check, [&](const json& item, const Hdf5Reader& h5) {
    check_keys(item, {"file", "accept", "note", "tensors", "other"}, check);
    check_pth_file(c, item, h5, check);
  });
}

void run_pth_hostile(const Case& c, const Options&, Check& check) {
  check_keys(c.json, {"kind", "what", "seed", "payload", "limits", "files", "items", "tolerance", "source"}, check);
  for (const json& item : c.json.at("items")) {
    check_keys(item, {"file", "kind", "accept", "why", "size", "torch", "w"}, check);
    const std::string file = item.at("file");
    if (outcome_of(c, item, check) != "ok" || !item.contains("w")) continue;
    const auto reader = open_tensor_file(c.path(file));
    const int index = reader->find("w");
    check.exact(file + ": has w", index >= 0);
    if (index < 0) continue;
    std::vector<double> w(static_cast<size_t>(reader->tensors()[static_cast<size_t>(index)].numel()));
    reader->read_as<double>(static_cast<size_t>(index), 0, static_cast<int64_t>(w.size()), w.data());
    check.exact(file + ": w", json(w) == item.at("w"));
  }
}

void run_safetensors(const Case& c, const Options&, Check& check) {
  check_keys(c.json, {"kind", "what", "seed", "files", "items", "tolerance", "source", "informative"}, check);
  check_valid_items(c, check, [&](const json& item, const Hdf5Reader& h5) {
    check_keys(item, {"file", "accept", "why", "tensors", "metadata", "upstream"}, check);
    const std::string file = item.at("file");
    const auto reader = open_tensor_file(c.path(file));
    check.exact(file + ": format", std::string(reader->format()) == "safetensors");
    check.exact(file + ": number of tensors", reader->tensors().size() == item.at("tensors").size());
    for (const json& t : item.at("tensors")) {
      check_keys(t, {"name", "h5", "dtype", "shape"}, check);
      const std::string name = t.at("name");
      const int index = reader->find(name);
      if (index < 0) {
        check.mark_read(t.at("h5"));
        check.fail(cat(file, " ", name, " is missing"));
        continue;
      }
      const TensorInfo& info = reader->tensors()[static_cast<size_t>(index)];
      check.exact(cat(file, " ", name, " dtype"), name_of(info.dtype) == t.at("dtype").get<std::string>());
      check.exact(cat(file, " ", name, " shape"), json(info.shape) == t.at("shape"));
      check_values(cat(file, " ", name), *reader, static_cast<size_t>(index), h5, t.at("h5"), check);
    }
    // null: the case says nothing about it (ok_meta has some).
    const json& metadata = item.at("metadata");
    if (!metadata.is_null()) check.exact(file + ": metadata", json(reader->metadata()) == metadata);
  });
}

}  // namespace rk::golden
