#include "train/checkpoint_tensors.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "io/convert.h"
#include "train/checkpoint.h"

namespace rk {
namespace {

DType dtype_named(const std::string& name, const std::string& folder) {
  for (DType t : {DType::f32, DType::f64, DType::bf16, DType::f16})
    if (name == name_of(t)) return t;
  fail(cat(folder, ": its weights are of type ", name, ", which this program does not know"));
}

class CheckpointTensors : public TensorReader {
 public:
  CheckpointTensors(const std::string& folder, CheckpointParts parts) : reader_(folder) {
    for (const auto& [part, dtype] : reader_.parts())
      for (const TensorShape& t : reader_.tensors()) {
        if (!reader_.has(t.name, part)) continue;
        if (parts == CheckpointParts::weights && part != "master") continue;
        const bool rounded = parts == CheckpointParts::weights;
        infos_.push_back(
            {rounded ? t.name : part + "/" + t.name, rounded ? dtype_named(reader_.state().model_dtype, folder) : dtype, t.shape});
        sources_.push_back({t.name, part, dtype});
      }
  }

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  const char* format() const override { return "checkpoint"; }

  void read(size_t index, int64_t first, int64_t n, void* destination) override {
    const Source& s = sources_.at(index);
    const DType as = infos_[index].dtype;
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
    DType dtype;
  };
  CheckpointReader reader_;
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
