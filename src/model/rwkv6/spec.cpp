// Sizes of RWKV-6 models, from files and for new ones.
#include <algorithm>

#include "model/parts/sizes.h"
#include "model/rwkv6/family.h"
#include "model/rwkv6/params.h"

namespace rk::rwkv6 {
namespace {

constexpr const char* kHeads = "blocks.0.att.time_faaaa";  // [H,N]

const char* arch_of(Variant v) {
  switch (v) {
    case Variant::plain: return "x060";
    case Variant::a: return "x060a";
    case Variant::b: return "x060b";
  }
  broken_promise("a variant is one of three", Where::here());
}

Variant variant_of_file(const FileShapes& file) {
  if (file.has("blocks.0.att.time_maa_rkvw_w1")) return Variant::b;
  return file.has("blocks.0.att.gate_w1") ? Variant::a : Variant::plain;
}

// Widths of low-rank products that a variant has not.
void refuse_other_widths(const ModelSpec& s, Variant v) {
  const std::pair<const char*, bool> all[] = {
      {"aaa_lora", s.aaa_lora != 0}, {"mv_lora", s.mv_lora != 0}, {"gate_lora", s.gate_lora != 0 && v != Variant::a}};
  for (const auto& [flag, given] : all)
    if (given) fail(cat("--", flag, ": ", arch_of(v), " has no such product; leave it out"));
}

}  // namespace

Variant variant_of(const std::string& arch) {
  if (arch.find("x060a") != std::string::npos) return Variant::a;
  return arch.find("x060b") != std::string::npos ? Variant::b : Variant::plain;
}

std::span<const Mix> mixes_of(Variant v) {
  static constexpr Mix five[] = {kW, kK, kV, kR, kG}, four[] = {kR, kK, kV, kW};
  if (v == Variant::b) return four;
  return five;
}

bool matches(const std::vector<TensorInfo>& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const TensorInfo& t) { return t.name.find("time_maa") != std::string::npos; });
}

ModelSpec spec_from_file(const ModelSpec& given, const std::vector<TensorInfo>& tensors, const std::string& path) {
  const FileShapes file(tensors, path, "RWKV-6");
  const Variant variant = variant_of_file(file);
  ModelSpec s = given;
  s.arch = arch_of(variant);
  if (given.arch.find("x060") != std::string::npos && variant_of(given.arch) != variant)
    fail(cat(path, ": its tensors are those of ", s.arch, ", but ", given.arch, " was given; leave the architecture out or give ", s.arch));
  refuse_other_widths(given, variant);
  settle_common_sizes(s, file);
  settle_heads(s, file, kHeads);
  for (int64_t l = 0; l < s.n_layer; ++l) file.matrix(cat("blocks.", l, ".att.time_faaaa"));
  const auto width = [&](const char* flag, int64_t given_width, const std::string& tensor, size_t n = 1) {
    const int64_t all = file.matrix(tensor)[1], parts = static_cast<int64_t>(n);
    if (all % parts != 0) fail(cat(path, ": tensor ", tensor, " has ", all, " columns, which are not ", parts, " equal parts"));
    return settle({flag, given_width, all / parts, tensor}, path);
  };
  const std::string mixes = cat("blocks.0.att.time_maa_", variant == Variant::b ? "rkvw_" : "", "w1");
  s.mix_lora = width("mix_lora", given.mix_lora, mixes, mixes_of(variant).size());
  s.decay_lora = width("decay_lora", given.decay_lora, "blocks.0.att.time_decay_w1");
  if (variant == Variant::a) s.gate_lora = width("gate_lora", given.gate_lora, "blocks.0.att.gate_w1");
  settle_v5_sizes(s, file);
  return s;
}

ModelSpec spec_for_new(const ModelSpec& given) {
  ModelSpec s = given;
  const Variant variant = variant_of(given.arch);
  refuse_other_widths(given, variant);
  complete_common_sizes(s, arch_of(variant));
  complete_v5_sizes(s, "RWKV-6");
  s.arch = arch_of(variant);
  const bool large = s.n_embd == 4096;  // as in the released models of 7B and 14B
  complete_size(s.mix_lora, large ? 64 : 32, "mix_lora");
  complete_size(s.decay_lora, large ? 128 : 64, "decay_lora");
  if (variant == Variant::a) complete_size(s.gate_lora, 64, "gate_lora");
  return s;
}

}  // namespace rk::rwkv6
