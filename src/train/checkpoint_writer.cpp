#include "train/checkpoint_writer.h"

#include <sys/stat.h>
#include <xxhash.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <unordered_map>

#include "base/error.h"
#include "io/disk.h"
#include "io/hdf5/hdf5.h"

namespace rk {

ShardWriter::~ShardWriter() { wait(); }

void ShardWriter::wait() {
  if (thread_.joinable()) thread_.join();
}

void ShardWriter::stage(const Manifest& m, const std::vector<TensorPiece>& pieces) {
  std::unordered_map<std::string, int64_t> index;
  for (size_t i = 0; i < m.tensors.size(); ++i) index[m.tensors[i].name] = static_cast<int64_t>(i);
  file_.pieces.clear();
  parts_.clear();
  sources_.clear();
  size_t n_bytes = 0;
  for (const TensorPiece& p : pieces) {
    if (p.data.numel() == 0) continue;
    const auto it = index.find(p.tensor);
    require(it != index.end(), "a checkpoint holds pieces of the tensors it was promised");
    require(p.data.dtype == DType::f32 || p.data.dtype == DType::f64, "a checkpoint holds f32 or f64");
    require(parts_.emplace(p.part, p.data.dtype).first->second == p.data.dtype, "all pieces of a part have one type");
    file_.pieces.push_back({it->second, p.part, p.offset, p.data.numel()});
    if (p.data.device != Device::pinned) n_bytes += p.data.n_bytes();
  }
  if (n_bytes > staging_.size()) {
    staging_ = Buffer();  // the old one goes first
    staging_ = Buffer(copies_.gpu ? Device::pinned : Device::cpu, n_bytes);
  }
  size_t at = 0;
  for (const TensorPiece& p : pieces) {
    if (p.data.numel() == 0) continue;
    Tensor source = p.data;
    if (source.device != Device::pinned) {
      source = staging_.tensor(p.data.dtype, p.data.shape, at);
      copy(copies_, p.data, source);
      at += p.data.n_bytes();
    }
    sources_.push_back(static_cast<const std::byte*>(source.data));
  }
  synchronize(copies_);
}

void ShardWriter::start(const std::string& folder, int rank, const Manifest& m, const std::vector<TensorPiece>& pieces,
                        uint64_t needed_bytes) {
  require(!thread_.joinable(), "a shard is waited for before the next is begun");
  folder_ = folder;
  char name[32];
  std::snprintf(name, sizeof name, "shard-%05d.h5", rank);
  file_.name = name;
  path_ = folder + "/" + name;
  error_.clear();
  stage(m, pieces);
  done_ = false;
  thread_ = std::thread([this, &m, needed_bytes] { run(m, needed_bytes); });
}

void ShardWriter::run(const Manifest& m, uint64_t needed_bytes) {
  // Signals belong to the training thread.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  try {
    if (mkdir(folder_.c_str(), 0777) != 0 && errno != EEXIST) fail_write(folder_, 0, errno);
    require_space(path_, needed_bytes);
    write_file(m);
    file_.n_bytes = static_cast<int64_t>(std::filesystem::file_size(path_));
  } catch (const std::exception& e) {
    error_ = e.what();
  }
  done_ = true;
}

void ShardWriter::write_file(const Manifest& m) {
  Hdf5Writer out(path_);
  std::vector<int64_t> checksums;
  for (size_t i = 0; i < file_.pieces.size(); ++i) {
    const ManifestPiece& p = file_.pieces[i];
    const DType dtype = parts_.at(p.part);
    const std::string dataset = dataset_of(m, p);
    const auto element = static_cast<int64_t>(size_of(dtype)), per_chunk = checkpoint_chunk_bytes / element;
    out.create(dataset, dtype, {p.n});
    out.attribute(dataset, "offset", std::vector<int64_t>{p.offset});
    out.attribute(dataset, "shape", m.tensors[static_cast<size_t>(p.tensor)].shape);
    out.attribute(dataset, "first_checksum", std::vector<int64_t>{static_cast<int64_t>(checksums.size())});
    const std::byte* data = sources_[i];
    for (int64_t at = 0; at < p.n; at += per_chunk) {
      const int64_t n = std::min(per_chunk, p.n - at);
      const std::byte* chunk = data + at * element;
      checksums.push_back(std::bit_cast<int64_t>(XXH64(chunk, static_cast<size_t>(n * element), 0)));
      out.write_range(dataset, at, n, chunk);
    }
    out.close(dataset);
  }
  out.write("checksums", DType::i64, {static_cast<int64_t>(checksums.size())}, checksums.data());
  out.attribute("checksums", "method", "xxhash64, seed 0, of each 4 MiB of each dataset, in the manifest's order of pieces");
  file_.checksum = hash_of(checksums);
  out.finish();
}

}  // namespace rk
