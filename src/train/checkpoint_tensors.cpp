#include "train/checkpoint_tensors.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "io/convert.h"
#include "model/families.h"
#include "model/file_tensors.h"
#include "train/checkpoint.h"
#include "train/replay.h"

namespace rk {
namespace {

DType dtype_named(const std::string& name, const std::string& folder) {
  for (DType t : {DType::f32, DType::f64, DType::bf16, DType::f16})
    if (name == name_of(t)) return t;
  fail(cat(folder, ": its weights are of type ", name, ", which this program does not know"));
}

// The model of a checkpoint whose files of weights hold tensors that the checkpoint does not; null for all others.
std::unique_ptr<Model> model_with_derived(const CheckpointReader& reader, const std::string& folder) {
  std::vector<TensorInfo> infos;
  for (const TensorShape& t : reader.tensors()) infos.push_back({t.name, DType::f32, t.shape});
  const auto masked = [](const TensorInfo& t) { return t.name == "head_q.weight" || t.name.ends_with(".tiny_q.weight"); };
  if (std::none_of(infos.begin(), infos.end(), masked)) return nullptr;
  ModelSpec given;
  for (const std::string& word : words_of_options(reader.state().config))
    if (word.starts_with("--ctx_len=")) given.old.ctx_len = std::stoll(word.substr(10));
  const Family& family = family_of_file(infos, folder);
  return family.make(family.spec_from_file(given, infos, folder));
}

class CheckpointTensors : public TensorReader {
 public:
  CheckpointTensors(const std::string& folder, CheckpointParts parts) : reader_(folder) {
    if (parts == CheckpointParts::weights) {
      const DType dtype = dtype_named(reader_.state().model_dtype, folder);
      model_ = model_with_derived(reader_, folder);
      for (const TensorShape& t : reader_.tensors()) {
        if (!reader_.has(t.name, "master")) continue;
        if (model_) add_derived(t.name, dtype);
        infos_.push_back({t.name, dtype, t.shape});
        sources_.push_back({.tensor = t.name, .part = "master", .dtype = reader_.parts().at("master")});
      }
      return;
    }
    for (const auto& [part, dtype] : reader_.parts())
      for (const TensorShape& t : reader_.tensors()) {
        if (!reader_.has(t.name, part)) continue;
        infos_.push_back({part + "/" + t.name, dtype, t.shape});
        sources_.push_back({.tensor = t.name, .part = part, .dtype = dtype});
      }
  }

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  const char* format() const override { return "checkpoint"; }

  void read(size_t index, int64_t first, int64_t n, void* destination) override {
    const Source& s = sources_.at(index);
    const DType as = infos_[index].dtype;
    if (s.derived) return put_derived(*s.derived, first, {destination, {n}, as, Device::cpu});
    if (as == s.dtype) return reader_.read(s.tensor, s.part, first, n, as, destination);
    constexpr int64_t block = int64_t{1} << 20;
    stored_.resize(static_cast<size_t>(std::min(n, block)) * size_of(s.dtype));
    for (int64_t i = 0; i < n; i += block) {
      const int64_t m = std::min(block, n - i);
      reader_.read(s.tensor, s.part, first + i, m, s.dtype, stored_.data());
      convert_elements(s.dtype, stored_.data(), as, static_cast<std::byte*>(destination) + static_cast<size_t>(i) * size_of(as), m);
    }
  }

  std::map<std::string, std::string> metadata() const override {
    const CheckpointState& s = reader_.state();
    return {{"step", std::to_string(s.step)}, {"tokens", std::to_string(s.tokens)}, {"config", s.config}};
  }

  std::string verify() override {
    std::vector<std::byte> block;
    int64_t n_bytes = 0;
    for (const auto& [part, dtype] : reader_.parts())
      for (const TensorShape& t : reader_.tensors()) {
        if (!reader_.has(t.name, part)) continue;
        const TensorInfo info{t.name, dtype, t.shape};
        constexpr int64_t step = int64_t{1} << 20;
        block.resize(static_cast<size_t>(std::min(info.numel(), step)) * size_of(dtype));
        for (int64_t at = 0; at < info.numel(); at += step)
          reader_.read(t.name, part, at, std::min(step, info.numel() - at), dtype, block.data());
        n_bytes += info.numel() * static_cast<int64_t>(size_of(dtype));
      }
    return cat("all checksums are right (", n_bytes, " bytes of numbers)");
  }

 private:
  struct Source {
    std::string tensor, part;
    DType dtype = DType::f32;
    const DerivedTensor* derived = nullptr;  // in place of all above
  };
  void add_derived(const std::string& before, DType dtype) {
    for (const DerivedTensor& d : model_->derived)
      if (d.before == before) {
        infos_.push_back(FileTensor{.derived = &d}.info(dtype));
        sources_.push_back({.tensor = d.name, .derived = &d});
      }
  }

  CheckpointReader reader_;
  std::unique_ptr<Model> model_;  // owner of the derived tensors; may be null
  std::vector<TensorInfo> infos_;
  std::vector<Source> sources_;
  std::vector<std::byte> stored_;
};

}  // namespace

std::string find_checkpoint(const std::string& path) {
  namespace fs = std::filesystem;
  std::string folder = path;
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  const bool is_one = fs::exists(folder + "/manifest.json") || fs::path(folder).filename().string().starts_with("step-");
  if (is_one) return folder;
  std::vector<std::string> warnings;
  const auto newest = newest_checkpoint(folder, warnings);
  for (const std::string& w : warnings) log_warning(w);
  if (!newest) fail(cat(folder, " is neither a checkpoint (step-NNNNNNNN) nor a folder that holds a complete one"));
  return *newest;
}

std::unique_ptr<TensorReader> open_checkpoint(const std::string& folder, CheckpointParts parts) {
  return std::make_unique<CheckpointTensors>(folder, parts);
}

}  // namespace rk
