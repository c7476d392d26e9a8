// A model that reads tokens one after another: the training units, run in time segments with carried state.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "train/machine.h"

namespace rk {

class Generator {
 public:
  // Weights of a .pth, .safetensors or .h5 file, of a step-NNNNNNNN folder, or of the newest such folder of a proj_dir.
  // dtype: what it computes in.
  Generator(const std::string& path, DType dtype, const Machine& machine);
  ~Generator();

  int64_t vocab_size() const;
  const std::map<std::string, std::string>& metadata() const;  // of a file, or what it would be
  // Reads tokens behind all earlier ones; returns the logits after the last one, valid until the next call. An id that the model
  // does not have is refused.
  std::span<const double> feed(std::span<const int32_t> tokens);
  // The next tokens begin a text.
  void forget();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rk
