#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "io/pth/pth.h"
#include "io/utf8.h"

namespace rk {
namespace {

// A tensor may be larger than its storage (expand()); beyond this a small file could ask for any amount of memory.
constexpr uint64_t expansion_allowance = 64 << 20, expansion_factor = 16;
constexpr uint64_t max_inflated_view = 64 << 20;

bool starts_with(std::span<const std::byte> bytes, std::string_view head) {
  return bytes.size() >= head.size() && std::memcmp(bytes.data(), head.data(), head.size()) == 0;
}

bool row_major(const pickle::Tensor& t) {
  int64_t expected = 1;
  for (size_t k = t.shape.size(); k-- > 0;) {
    if (t.shape[k] > 1 && t.stride[k] != expected) return false;
    expected *= t.shape[k];
  }
  return true;
}

}  // namespace

PthReader::PthReader(const std::string& path) : file_(path) {
  if (!starts_with(file_.bytes(), "PK") && !starts_with(file_.bytes(), "\x80"))
    fail(cat(path, " is no file of torch.save: it starts neither as a zip archive nor as a pickle"));
  content_ = starts_with(file_.bytes(), "PK") ? pth::load_archive(path, file_.bytes()) : pth::load_legacy(path, file_.bytes());
  found_ = pth::find_tensors(path, content_.object);
  for (size_t i = 0; i < found_.size(); ++i) infos_.push_back({found_[i].name, saved(i).dtype, saved(i).shape});
  check_sizes();
}
PthReader::~PthReader() = default;

void PthReader::check_sizes() const {
  uint64_t stored = 0, named = 0;
  for (const pth::Blob& b : content_.blobs) stored += b.size;
  for (const TensorInfo& t : infos_) {
    const auto n_bytes = static_cast<uint64_t>(t.numel()) * size_of(t.dtype);
    if (__builtin_add_overflow(named, n_bytes, &named) || named > expansion_allowance + expansion_factor * stored)
      fail(cat(file_.path(), ": tensor ", printable(t.name), " would need ", n_bytes, " bytes, while the file holds ", stored,
               " bytes of numbers; such expanded views are refused"));
  }
}

void PthReader::read(size_t index, int64_t first, int64_t n, void* destination) {
  const TensorInfo& info = infos_.at(index);
  require(first >= 0 && n >= 0 && first <= info.numel() - n, "a range lies inside its tensor");
  if (n == 0) return;
  const pickle::Tensor& t = saved(index);
  if (!row_major(t)) return gather(index, first, n, static_cast<std::byte*>(destination));
  const int64_t begin = content_.object.storages[t.storage].view_offset + t.offset + first;
  const uint64_t element = size_of(t.dtype);
  copy(blob(index), static_cast<uint64_t>(begin) * element, static_cast<size_t>(n) * element, static_cast<std::byte*>(destination));
}

const std::byte* PthReader::mapped(size_t index) const {
  const pickle::Tensor& t = saved(index);
  const pth::Blob& bytes = content_.blobs[blob(index)];
  if (!row_major(t) || bytes.deflated) return nullptr;
  const int64_t begin = content_.object.storages[t.storage].view_offset + t.offset;
  return bytes.bytes.data() + static_cast<size_t>(begin) * size_of(t.dtype);
}

void PthReader::copy(size_t b, uint64_t offset, size_t n_bytes, std::byte* destination) {
  const pth::Blob& blob = content_.blobs[b];
  if (!blob.deflated) {
    std::memcpy(destination, blob.bytes.data() + offset, n_bytes);
    return;
  }
  if (open_blob_ != b || !inflater_) {
    inflater_ = std::make_unique<zip::Inflater>(file_.path(), *blob.deflated);
    inflated_ = {};
    open_blob_ = b;
  }
  inflater_->read(offset, n_bytes, destination);
}

// The bytes of a storage that is read out of order.
std::span<const std::byte> PthReader::whole(size_t b, const std::string& name) {
  const pth::Blob& blob = content_.blobs[b];
  if (!blob.deflated) return blob.bytes;
  if (blob.size > max_inflated_view)
    fail(cat(file_.path(), ": tensor ", printable(name), " is a transposed or strided view of a compressed record of ", blob.size,
             " bytes; unpack the archive and pack it again without compression"));
  if (open_blob_ != b || inflated_.empty()) {
    std::vector<std::byte> bytes(blob.size);
    copy(b, 0, bytes.size(), bytes.data());
    inflated_ = std::move(bytes);
  }
  return inflated_;
}

void PthReader::gather(size_t index, int64_t first, int64_t n, std::byte* destination) {
  const pickle::Tensor& t = saved(index);
  const std::span<const std::byte> bytes = whole(blob(index), infos_[index].name);
  const size_t rank = t.shape.size(), element = size_of(t.dtype);
  std::vector<int64_t> at(rank);
  int64_t place = content_.object.storages[t.storage].view_offset + t.offset;
  for (size_t k = rank, rest = static_cast<size_t>(first); k-- > 0;) {
    at[k] = static_cast<int64_t>(rest) % t.shape[k];
    rest /= static_cast<size_t>(t.shape[k]);
    place += at[k] * t.stride[k];
  }
  for (int64_t i = 0; i < n; ++i, destination += element) {
    std::memcpy(destination, bytes.data() + static_cast<size_t>(place) * element, element);
    for (size_t k = rank; k-- > 0;) {
      place += t.stride[k];
      if (++at[k] < t.shape[k]) break;
      place -= at[k] * t.stride[k];
      at[k] = 0;
    }
  }
}

std::string PthReader::verify() {
  if (!content_.archive) return "a legacy stream has no checksums; all sizes fit";
  size_t without = 0;
  for (const zip::Entry& e : content_.archive->entries()) {
    if (e.crc == 0 && e.size > 0) {
      ++without;
    } else if (zip::crc_of(file_.path(), e) != e.crc) {
      fail(cat(file_.path(), ": record ", printable(e.name), " is damaged: its CRC-32 is wrong"));
    }
  }
  const size_t n = content_.archive->entries().size();
  return cat("CRC-32 of ", n - without, " records is right", without ? cat("; ", without, " were written without one") : "");
}

std::unique_ptr<TensorReader> open_pth(const std::string& path) { return std::make_unique<PthReader>(path); }

}  // namespace rk
