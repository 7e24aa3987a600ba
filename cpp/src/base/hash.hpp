// Hashing of packed rows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace labelquorum {

// A bijection of 64-bit words that spreads every input bit over all output bits: the finalizer of
// MurmurHash3 by Austin Appleby (public domain).
constexpr std::uint64_t mix(std::uint64_t word) {
    word ^= word >> 33;
    word *= 0xff51afd7ed558ccdULL;
    word ^= word >> 33;
    word *= 0xc4ceb9fe1a85ec53ULL;
    word ^= word >> 33;
    return word;
}

// A hash of the words word(0) to word(n_words - 1). Equal hashes do not imply equal words.
template <class Word>
constexpr std::uint64_t hash_words(std::size_t n_words, Word&& word) {
    std::uint64_t hash = 0;
    for (std::size_t k = 0; k < n_words; ++k) {
        hash = (hash ^ word(k)) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 32;
    }
    return mix(hash);
}

inline void prefetch(const void* address) {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(address);
#else
    (void)address;
#endif
}

}  // namespace labelquorum
