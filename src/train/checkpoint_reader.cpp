#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <list>
#include <sstream>
#include <unordered_map>

#include "base/error.h"
#include "device/thread_pool.h"
#include "io/convert.h"
#include "io/hdf5/hdf5.h"
#include "train/checkpoint.h"
#include "train/checkpoint_manifest.h"

namespace rk {
namespace {

constexpr size_t max_open_files = 32;
constexpr int kThreads = 4;

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) fail(cat(path, " is missing or cannot be read: the folder is no complete checkpoint"));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// Reads past the HDF5 library, where it told where the numbers lie.
class RawFile {
 public:
  explicit RawFile(const std::string& path) : path_(path), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) fail(cat("cannot open ", path, ": ", std::strerror(errno)));
  }
  RawFile(RawFile&& o) noexcept : path_(std::move(o.path_)), fd_(std::exchange(o.fd_, -1)) {}
  ~RawFile() {
    if (fd_ >= 0) close(fd_);
  }

  // Bytes [begin, end) will be read next, and likely those behind them: the disk is to be busy while what came is checked.
  void expect(uint64_t begin, uint64_t end) {
    if (asked_ < begin || asked_ > end + kAhead) asked_ = begin;
    const uint64_t until = end + kAhead;
    if (until <= asked_) return;
    posix_fadvise(fd_, static_cast<off_t>(asked_), static_cast<off_t>(until - asked_), POSIX_FADV_WILLNEED);
    asked_ = until;
  }

  // By any thread.
  void read(uint64_t at, std::byte* to, size_t n) const {
    while (n > 0) {
      const ssize_t got = pread(fd_, to, n, static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) fail(cat("cannot read ", path_, " at byte ", at, ": ", got == 0 ? "it ends there" : std::strerror(errno)));
      to += got;
      at += static_cast<uint64_t>(got);
      n -= static_cast<size_t>(got);
    }
  }

 private:
  static constexpr uint64_t kAhead = uint64_t{64} << 20;
  std::string path_;
  int fd_;
  uint64_t asked_ = 0;  // the disk was told to read up to here
};

// A shard file, its checksums and the chunk that was read last.
struct Shard {
  explicit Shard(const std::string& path) : file(path), raw(path) {}
  Hdf5Reader file;
  RawFile raw;
  size_t placed_piece = SIZE_MAX;  // whose place this is
  std::optional<uint64_t> place;
  std::vector<int64_t> checksums, first_checksum;  // the latter by piece
  size_t chunk_piece = SIZE_MAX;
  int64_t chunk = -1;
  std::vector<std::byte> bytes;
};

}  // namespace

struct CheckpointReader::Impl {
  std::string folder;
  Manifest manifest;
  PieceMap places;
  std::unordered_map<std::string, int64_t> index;
  std::list<std::pair<size_t, Shard>> open;  // the one used last in front
  std::optional<ThreadPool> pool;

  std::string path_of(size_t file) const { return folder + "/" + manifest.files[file].name; }

  void check_files() const {
    for (size_t f = 0; f < manifest.files.size(); ++f) {
      struct stat s {};
      if (stat(path_of(f).c_str(), &s) != 0) fail(cat(path_of(f), " is missing; use an older checkpoint"));
      if (s.st_size != manifest.files[f].n_bytes)
        fail(cat(path_of(f), " has ", s.st_size, " bytes, the manifest says ", manifest.files[f].n_bytes, "; use an older checkpoint"));
    }
  }

  Shard& shard(size_t file) {
    for (auto it = open.begin(); it != open.end(); ++it)
      if (it->first == file) {
        open.splice(open.begin(), open, it);
        return it->second;
      }
    if (open.size() >= max_open_files) open.pop_back();
    Shard s(path_of(file));
    s.checksums = s.file.read_ints("checksums");
    if (hash_of(s.checksums) != manifest.files[file].checksum)
      fail(
          cat(path_of(file), " is damaged or of another checkpoint: its checksums are not those of the manifest; use an older checkpoint"));
    int64_t n = 0;
    for (const ManifestPiece& p : manifest.files[file].pieces) {
      s.first_checksum.push_back(n);
      n += chunks_of(p, manifest.parts.at(p.part));
    }
    require(n == static_cast<int64_t>(s.checksums.size()), "a shard has one checksum a chunk");
    open.emplace_front(file, std::move(s));
    return open.front().second;
  }

  // Makes `place` the piece that chunks are read from.
  void turn_to(Shard& s, const PiecePlace& place) {
    if (s.placed_piece == place.piece) return;
    const ManifestPiece& p = manifest.files[place.file].pieces[place.piece];
    const std::string dataset = dataset_of(manifest, p);
    const TensorInfo info = s.file.info(dataset);
    if (info.dtype != manifest.parts.at(p.part) || info.numel() != p.n)
      fail(cat(path_of(place.file), ": dataset ", dataset, " is not what the manifest says"));
    s.place = s.file.place(dataset);
    s.placed_piece = place.piece;
  }

  // Chunks [first, first + n) of a piece, checked, by several threads, which also keeps a disk busy.
  void read_chunks(Shard& s, const PiecePlace& place, int64_t first, int64_t n, std::byte* to) {
    turn_to(s, place);
    if (s.place) {
      const uint64_t begin = *s.place + static_cast<uint64_t>(first * checkpoint_chunk_bytes);
      s.raw.expect(begin, begin + static_cast<uint64_t>(n * checkpoint_chunk_bytes));
    }
    if (!pool && n > 1) pool.emplace(kThreads);
    const auto read = [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) read_chunk(s, place, first + i, to + i * checkpoint_chunk_bytes);
    };
    n > 1 ? pool->parallel_for(n, 1, read) : read(0, n);
  }

  void read_chunk(const Shard& s, const PiecePlace& place, int64_t chunk, std::byte* to) const {
    const ManifestPiece& p = manifest.files[place.file].pieces[place.piece];
    const DType dtype = manifest.parts.at(p.part);
    const auto element = static_cast<int64_t>(size_of(dtype)), per_chunk = checkpoint_chunk_bytes / element;
    const int64_t n = std::min(per_chunk, p.n - chunk * per_chunk);
    const auto n_bytes = static_cast<size_t>(n * element);
    if (s.place) {
      s.raw.read(*s.place + static_cast<uint64_t>(chunk * checkpoint_chunk_bytes), to, n_bytes);
    } else {
      s.file.read(dataset_of(manifest, p), chunk * per_chunk, n, dtype, to);
    }
    const int64_t expected = s.checksums[static_cast<size_t>(s.first_checksum[place.piece] + chunk)];
    if (std::bit_cast<int64_t>(XXH64(to, n_bytes, 0)) != expected)
      fail(cat(path_of(place.file), " is damaged: dataset ", dataset_of(manifest, p), " has a wrong checksum at elements ",
               chunk * per_chunk, " to ", chunk * per_chunk + n - 1, "; use an older checkpoint"));
  }

  // The same, kept until another is asked for.
  const std::vector<std::byte>& chunk(const PiecePlace& place, int64_t chunk) {
    Shard& s = shard(place.file);
    if (s.chunk_piece == place.piece && s.chunk == chunk) return s.bytes;
    const ManifestPiece& p = manifest.files[place.file].pieces[place.piece];
    const auto element = static_cast<int64_t>(size_of(manifest.parts.at(p.part))), per_chunk = checkpoint_chunk_bytes / element;
    s.chunk_piece = SIZE_MAX;
    s.bytes.resize(static_cast<size_t>(std::min(per_chunk, p.n - chunk * per_chunk) * element));
    read_chunks(s, place, chunk, 1, s.bytes.data());
    s.chunk_piece = place.piece;
    s.chunk = chunk;
    return s.bytes;
  }

  // Elements [first, first + n) of one piece, counted from its start.
  void read_piece(const PiecePlace& place, int64_t first, int64_t n, DType as, std::byte* out) {
    const DType dtype = manifest.parts.at(manifest.files[place.file].pieces[place.piece].part);
    const auto element = static_cast<int64_t>(size_of(dtype)), per_chunk = checkpoint_chunk_bytes / element;
    const int64_t of_piece = manifest.files[place.file].pieces[place.piece].n;
    while (n > 0) {
      const int64_t at = first % per_chunk;
      int64_t take = std::min(n, per_chunk - at);
      // Whole chunks go straight to their destination; a piece's last chunk may be short.
      const int64_t whole = first + n == of_piece ? n : n / per_chunk * per_chunk;
      if (at == 0 && whole > 0 && as == dtype) {
        take = whole;
        read_chunks(shard(place.file), place, first / per_chunk, (whole + per_chunk - 1) / per_chunk, out);
      } else {
        const std::vector<std::byte>& bytes = chunk(place, first / per_chunk);
        convert_elements(dtype, bytes.data() + at * element, as, out, take);
      }
      out += static_cast<size_t>(take) * size_of(as);
      first += take;
      n -= take;
    }
  }

  const std::vector<PiecePlace>* find(const std::string& tensor, const std::string& part) const {
    const auto it = index.find(tensor);
    if (it == index.end()) return nullptr;
    const auto place = places.find({it->second, part});
    return place == places.end() ? nullptr : &place->second;
  }
};

CheckpointReader::CheckpointReader(const std::string& folder) : impl_(std::make_unique<Impl>()) {
  const std::string path = folder + "/manifest.json";
  impl_->folder = folder;
  impl_->manifest = manifest_from_text(text_of(path), path);
  impl_->check_files();
  impl_->places = place_pieces(impl_->manifest, path);
  for (size_t i = 0; i < impl_->manifest.tensors.size(); ++i) impl_->index[impl_->manifest.tensors[i].name] = static_cast<int64_t>(i);
}
CheckpointReader::~CheckpointReader() = default;

const CheckpointState& CheckpointReader::state() const { return impl_->manifest.state; }
const std::vector<TensorShape>& CheckpointReader::tensors() const { return impl_->manifest.tensors; }
bool CheckpointReader::has(const std::string& tensor, const std::string& part) const { return impl_->find(tensor, part) != nullptr; }

const std::map<std::string, DType>& CheckpointReader::parts() const { return impl_->manifest.parts; }

std::vector<std::pair<std::string, int64_t>> CheckpointReader::files() const {
  std::vector<std::pair<std::string, int64_t>> list;
  for (const ManifestFile& f : impl_->manifest.files) list.emplace_back(f.name, f.n_bytes);
  return list;
}

void CheckpointReader::read(const std::string& tensor, const std::string& part, int64_t offset, int64_t n, DType as, void* destination) {
  require(is_checkpoint_dtype(as), "a checkpoint holds floating-point numbers");
  if (n == 0) return;
  const std::vector<PiecePlace>* places = impl_->find(tensor, part);
  if (!places) fail(cat(impl_->folder, " has no ", part, " of tensor ", tensor));
  const auto piece_at = [&](const PiecePlace& p) -> const ManifestPiece& { return impl_->manifest.files[p.file].pieces[p.piece]; };
  const ManifestPiece& last = piece_at(places->back());
  if (offset < 0 || n < 0 || offset > last.offset + last.n - n)
    fail(cat(impl_->folder, ": elements ", offset, " to ", offset + n - 1, " of ", tensor, " were asked for, it has ",
             last.offset + last.n));
  auto* out = static_cast<std::byte*>(destination);
  for (const PiecePlace& place : *places) {
    const ManifestPiece& p = piece_at(place);
    const int64_t begin = std::max(offset, p.offset), end = std::min(offset + n, p.offset + p.n);
    if (begin < end) impl_->read_piece(place, begin - p.offset, end - begin, as, out + static_cast<size_t>(begin - offset) * size_of(as));
  }
}

}  // namespace rk
