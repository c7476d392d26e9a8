// PyTorch's .pth and .pt: read by a restricted unpickler through a memory map, written as torch.save writes them.
#pragma once
#include <memory>

#include "base/mapped_file.h"
#include "io/pth/content.h"
#include "io/tensor_file.h"

namespace rk {

class PthReader : public TensorReader {
 public:
  explicit PthReader(const std::string& path);
  ~PthReader() override;

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  void read(size_t index, int64_t first, int64_t n, void* destination) override;
  const std::byte* mapped(size_t index) const override;
  std::map<std::string, std::string> metadata() const override { return content_.metadata; }
  const char* format() const override { return "pth"; }
  std::string verify() override;

  // As saved: where each tensor lies in the object, its strides, whose bytes it shares.
  const pickle::Object& object() const { return content_.object; }
  const std::vector<pth::Found>& found() const { return found_; }
  const pickle::Tensor& saved(size_t index) const { return content_.object.tensors[found_[index].tensor]; }
  size_t blob(size_t index) const { return content_.blob_of_storage[saved(index).storage]; }

 private:
  void check_sizes() const;
  void copy(size_t blob, uint64_t offset, size_t n_bytes, std::byte* destination);
  void gather(size_t index, int64_t first, int64_t n, std::byte* destination);
  std::span<const std::byte> whole(size_t blob, const std::string& name);

  MappedFile file_;
  pth::Content content_;
  std::vector<pth::Found> found_;
  std::vector<TensorInfo> infos_;
  // Of the deflated record that was read last.
  size_t open_blob_ = SIZE_MAX;
  std::unique_ptr<zip::Inflater> inflater_;
  std::vector<std::byte> inflated_;
};

std::unique_ptr<TensorReader> open_pth(const std::string& path);
std::unique_ptr<TensorWriter> create_pth(const std::string& path, std::vector<TensorInfo> infos,
                                         const std::map<std::string, std::string>& metadata);

}  // namespace rk
