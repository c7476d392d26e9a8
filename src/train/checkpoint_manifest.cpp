#include "train/checkpoint_manifest.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/hex.h"

namespace rk {
namespace {

using nlohmann::json;

constexpr int64_t format_version = 1;
constexpr const char* format_name = "rookery-checkpoint";

// Bytes that are no UTF-8 (in a path of the configuration) become U+FFFD.
std::string dump(const json& j, int indent = -1) { return j.dump(indent, ' ', false, json::error_handler_t::replace); }

std::string hash(const void* data, size_t n_bytes) { return hex(XXH64(data, n_bytes, 0)); }

std::string checksum_of(const json& j) {
  const std::string text = dump(j);
  return hash(text.data(), text.size());
}

// JSON has no infinities and NaN.
json number(double x) { return std::isfinite(x) ? json(x) : json(std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf"); }
double number_from(const json& j) {
  return j.is_string() ? std::strtod(j.get_ref<const std::string&>().c_str(), nullptr) : j.get<double>();
}

json to_json(const CheckpointState& s) {
  return {{"step", s.step},
          {"adam_t", s.adam_t},
          {"tokens", s.tokens},
          {"samples", s.samples},
          {"epoch_begin", s.epoch_begin},
          {"epoch_loss_sum", number(s.epoch_loss_sum)},
          {"epoch_loss_steps", s.epoch_loss_steps},
          {"model_dtype", s.model_dtype},
          {"config", s.config},
          {"extra", s.extra}};
}

CheckpointState state_from(const json& j) {
  CheckpointState s;
  j.at("step").get_to(s.step);
  j.at("adam_t").get_to(s.adam_t);
  j.at("tokens").get_to(s.tokens);
  j.at("samples").get_to(s.samples);
  j.at("epoch_begin").get_to(s.epoch_begin);
  s.epoch_loss_sum = number_from(j.at("epoch_loss_sum"));
  j.at("epoch_loss_steps").get_to(s.epoch_loss_steps);
  j.at("model_dtype").get_to(s.model_dtype);
  j.at("config").get_to(s.config);
  j.at("extra").get_to(s.extra);
  return s;
}

json to_json(const ManifestFile& f) {
  json pieces = json::array();
  for (const ManifestPiece& p : f.pieces) pieces.push_back({p.tensor, p.part, p.offset, p.n});
  return {{"name", f.name}, {"bytes", f.n_bytes}, {"checksum", f.checksum}, {"pieces", pieces}};
}

ManifestFile file_from(const json& j) {
  ManifestFile f;
  j.at("name").get_to(f.name);
  j.at("bytes").get_to(f.n_bytes);
  j.at("checksum").get_to(f.checksum);
  for (const json& p : j.at("pieces")) {
    if (p.size() != 4) fail("a piece has four values");
    f.pieces.push_back({p[0].get<int64_t>(), p[1].get<std::string>(), p[2].get<int64_t>(), p[3].get<int64_t>()});
  }
  return f;
}

json to_json(const std::map<std::string, DType>& parts) {
  json j = json::object();
  for (const auto& [part, dtype] : parts) j[part] = name_of(dtype);
  return j;
}

void parts_from(const json& j, std::map<std::string, DType>& parts) {
  for (const auto& [part, dtype] : j.items()) {
    const std::string name = dtype.get<std::string>();
    static constexpr DType known[] = {DType::f32, DType::f64, DType::bf16, DType::f16};
    const auto* t = std::find_if(std::begin(known), std::end(known), [&](DType d) { return name == name_of(d); });
    if (t == std::end(known)) fail(cat("part ", part, " has type ", name));
    if (parts.emplace(part, *t).first->second != *t) fail(cat("part ", part, " has two types"));
  }
}

// A name that stays inside its folder.
bool is_plain(const std::string& name) { return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos; }

void check(const Manifest& m) {
  for (const TensorShape& t : m.tensors) {
    int64_t n = 1;
    for (int64_t s : t.shape)
      if (s < 0 || __builtin_mul_overflow(n, s, &n)) fail(cat("tensor ", t.name, " has a size that is none"));
  }
  for (const ManifestFile& f : m.files) {
    if (!is_plain(f.name)) fail(cat("file name ", f.name, " is none of ours"));
    for (const ManifestPiece& p : f.pieces) {
      if (p.tensor < 0 || p.tensor >= static_cast<int64_t>(m.tensors.size())) fail(cat("tensor ", p.tensor, " does not exist"));
      if (m.parts.count(p.part) == 0) fail(cat("part ", p.part, " does not exist"));
    }
  }
}

Manifest manifest_from(json& j) {
  if (j.at("format") != format_name) fail("it is not a manifest of this program");
  if (j.at("version") != format_version)
    fail(cat("its format version is ", j.at("version").dump(), ", this program reads ", format_version));
  const std::string expected = j.at("checksum").get<std::string>();
  j.erase("checksum");
  if (checksum_of(j) != expected) fail("its checksum is wrong");
  Manifest m;
  m.state = state_from(j.at("state"));
  for (const json& t : j.at("tensors")) m.tensors.push_back({t.at(0).get<std::string>(), t.at(1).get<std::vector<int64_t>>()});
  parts_from(j.at("parts"), m.parts);
  for (const json& f : j.at("files")) m.files.push_back(file_from(f));
  check(m);
  return m;
}

}  // namespace

std::string to_text(const Manifest& m) {
  json j = {{"format", format_name}, {"version", format_version}, {"state", to_json(m.state)}, {"parts", to_json(m.parts)}};
  j["tensors"] = json::array();
  for (const TensorShape& t : m.tensors) j["tensors"].push_back({t.name, t.shape});
  j["files"] = json::array();
  for (const ManifestFile& f : m.files) j["files"].push_back(to_json(f));
  // Over what will be read back.
  j["checksum"] = checksum_of(json::parse(dump(j)));
  return dump(j, 1) + "\n";
}

Manifest manifest_from_text(const std::string& text, const std::string& path) {
  const char* advice = "; use an older checkpoint";
  json j = json::parse(text, nullptr, false);
  if (!j.is_object()) fail(cat(path, " is cut off or damaged: it is no JSON object", advice));
  try {
    return manifest_from(j);
  } catch (const json::exception&) {
    fail(cat(path, " is damaged or not a manifest of this program: a value is missing or of the wrong kind", advice));
  } catch (const Error& e) {
    fail(cat(path, " is damaged or not a manifest of this program: ", e.what(), advice));
  }
}

std::string to_text(const ManifestFile& f, const std::map<std::string, DType>& parts) {
  return dump({{"file", to_json(f)}, {"parts", to_json(parts)}});
}

ManifestFile file_from_text(const std::string& text, std::map<std::string, DType>& parts) {
  const json j = json::parse(text);
  parts_from(j.at("parts"), parts);
  return file_from(j.at("file"));
}

PieceMap place_pieces(const Manifest& m, const std::string& path) {
  PieceMap map;
  for (size_t f = 0; f < m.files.size(); ++f)
    for (size_t p = 0; p < m.files[f].pieces.size(); ++p) {
      const ManifestPiece& piece = m.files[f].pieces[p];
      map[{piece.tensor, piece.part}].push_back({f, p});
    }
  const auto piece_at = [&](const PiecePlace& place) -> const ManifestPiece& { return m.files[place.file].pieces[place.piece]; };
  for (auto& [key, places] : map) {
    std::sort(places.begin(), places.end(), [&](const auto& a, const auto& b) { return piece_at(a).offset < piece_at(b).offset; });
    const TensorShape& t = m.tensors[static_cast<size_t>(key.first)];
    int64_t at = 0;
    for (const PiecePlace& place : places) {
      const ManifestPiece& piece = piece_at(place);
      if (piece.offset != at || piece.n <= 0 || piece.n > numel(t) - at)
        fail(cat(path, ": the pieces of ", key.second, "/", t.name, " do not fit together at element ", at));
      at += piece.n;
    }
    if (at != numel(t)) fail(cat(path, ": the pieces of ", key.second, "/", t.name, " end at element ", at, " of ", numel(t)));
  }
  return map;
}

int64_t numel(const TensorShape& t) {
  int64_t n = 1;
  for (int64_t s : t.shape) n *= s;
  return n;
}

std::string dataset_of(const Manifest& m, const ManifestPiece& p) {
  return cat(p.part, "/", m.tensors[static_cast<size_t>(p.tensor)].name, "@", p.offset);
}

std::string hash_of(const std::vector<int64_t>& checksums) { return hash(checksums.data(), checksums.size() * sizeof(int64_t)); }

int64_t chunks_of(const ManifestPiece& p, DType dtype) {
  const int64_t per_chunk = checkpoint_chunk_bytes / static_cast<int64_t>(size_of(dtype));
  return (p.n + per_chunk - 1) / per_chunk;
}

}  // namespace rk
