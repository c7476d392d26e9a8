#include "train/weights_export.h"

#include <algorithm>
#include <optional>

#include "comm/agree.h"
#include "io/background_writer.h"
#include "model/file_tensors.h"

namespace rk {

namespace {

// A new file that tensors go into, those of a GPU while earlier ones are being written.
class ExportFile {
 public:
  ExportFile(const Exec& ex, const Model& model, const std::string& path, const std::map<std::string, std::string>& metadata) : ex_(ex) {
    std::vector<TensorInfo> infos;
    int64_t largest = 0;
    for (const FileTensor& t : file_tensors(model)) {
      infos.push_back(t.info(model.dtype));
      largest = std::max(largest, infos.back().numel());
    }
    auto writer = create_tensor_file(path, std::move(infos), metadata);
    if (ex.device == Device::cuda) {
      behind_.emplace(std::move(writer), Device::pinned, static_cast<size_t>(largest) * size_of(model.dtype));
    } else {
      writer_ = std::move(writer);
    }
  }

  void write(const Tensor& t) {
    if (writer_) return writer_->write(t.data, t.n_bytes());
    stage(t.dtype, t.numel(), [&](int64_t at, const Tensor& staged) {
      copy(ex_, t.slice(at, staged.numel()), staged);
      synchronize(ex_);
    });
  }

  void write(const DerivedTensor& t, DType dtype) {
    const int64_t n = t.shape.numel();
    if (behind_) return stage(dtype, n, [&](int64_t at, const Tensor& staged) { put_derived(t, at, staged); });
    const Buffer buffer(Device::cpu, static_cast<size_t>(n) * size_of(dtype));
    put_derived(t, 0, buffer.tensor(dtype, {n}));
    writer_->write(buffer.data(), buffer.size());
  }

  void finish() { writer_ ? writer_->finish() : behind_->finish(); }

 private:
  // n elements through the buffers of the writer's thread.
  template <class Fill>
  void stage(DType dtype, int64_t n, const Fill& fill) {
    for (int64_t at = 0; at < n;) {
      const Buffer& buffer = behind_->take();
      const Tensor staged = buffer.tensor(dtype, {std::min(n - at, static_cast<int64_t>(buffer.size() / size_of(dtype)))});
      fill(at, staged);
      behind_->put(staged.n_bytes());
      at += staged.numel();
    }
  }

  Exec ex_;
  std::unique_ptr<TensorWriter> writer_;    // of weights in memory of the host
  std::optional<BackgroundWriter> behind_;  // of weights on a GPU
};

}  // namespace

void export_weights(const Exec& ex, Model& model, Shards& shards, const std::string& path,
                    const std::map<std::string, std::string>& metadata) {
  const bool writes = shards.comm().rank() == 0;
  std::optional<ExportFile> file;
  std::string error;  // rank 0's; the gathering goes on so that no rank waits for another
  const auto attempt = [&](const auto& action) {
    if (!writes || !error.empty()) return;
    try {
      action();
    } catch (const Error& e) {
      error = e.what();
    }
  };
  attempt([&] { file.emplace(ex, model, path, metadata); });
  for (const FileTensor& t : file_tensors(model)) {
    if (t.derived) {
      attempt([&] { file->write(*t.derived, model.dtype); });
      continue;
    }
    shards.acquire(t.param->unit);
    attempt([&] { file->write(t.param->w); });
    shards.release(t.param->unit);
  }
  attempt([&] { file->finish(); });
  file.reset();
  agree(shards.comm(), [&] {
    if (!error.empty()) fail(error, ExitCode::failure);
  });
}

}  // namespace rk
