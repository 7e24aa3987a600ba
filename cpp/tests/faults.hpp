// Makes allocations fail on demand, in any thread, and counts the blocks that are still allocated.
//
// Include it from exactly one source of a program: it replaces the global operator new.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <stdexcept>

#include "labelquorum/executor.hpp"

namespace faults {

inline std::atomic<long long> allowed{-1};  // allocations before the failure; negative: none fails
inline std::atomic<bool> once{true};        // whether one allocation fails, or all from then on
inline std::atomic<bool> reached{false};    // whether one has failed
inline std::atomic<long long> held{0};      // blocks allocated and not yet freed

inline bool fails() {
    if (allowed.load(std::memory_order_relaxed) < 0) return false;
    const long long left = allowed.fetch_sub(1);
    if (left > 0) return false;
    if (left < 0 && once.load()) return false;
    // Below zero means that none fails, so the countdown stays at zero if all shall fail.
    if (!once.load()) allowed.store(0);
    reached.store(true);
    return true;
}

inline void* allocate(std::size_t size, std::size_t alignment) noexcept {
    if (fails()) return nullptr;
    if (size == 0) size = 1;
    void* block =
        alignment <= alignof(std::max_align_t)
            ? std::malloc(size)
            : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (block != nullptr) held.fetch_add(1, std::memory_order_relaxed);
    return block;
}

inline void* allocate_or_throw(std::size_t size, std::size_t alignment) {
    void* block = allocate(size, alignment);
    if (block == nullptr) throw std::bad_alloc();
    return block;
}

inline void release(void* block) noexcept {
    if (block == nullptr) return;
    held.fetch_sub(1, std::memory_order_relaxed);
    std::free(block);
}

// Runs the call with its k-th allocation failing. Returns whether the call still succeeded.
template <class Call>
bool survives(long long k, bool only_once, Call&& call) {
    reached.store(false);
    once.store(only_once);
    allowed.store(k);
    bool succeeded = false;
    try {
        call();
        succeeded = true;
    } catch (const std::bad_alloc&) {
    } catch (const labelquorum::MemoryLimitError&) {
    } catch (...) {
        allowed.store(-1);
        throw;
    }
    allowed.store(-1);
    return succeeded;
}

// Runs attempt(k, only_once) for k = 0, 1, 2, ... (in growing steps) until no allocation fails.
// First only the k-th allocation fails each time, then all from the k-th on.
template <class Attempt>
void for_each_allocation(Attempt&& attempt) {
    for (const bool only_once : {true, false}) {
        for (long long k = 0;; k += 1 + k / 10) {
            attempt(k, only_once);
            if (!reached.load()) break;
        }
    }
}

}  // namespace faults

void* operator new(std::size_t size) { return faults::allocate_or_throw(size, 0); }
void* operator new[](std::size_t size) { return faults::allocate_or_throw(size, 0); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return faults::allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
    return faults::allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return faults::allocate(size, 0);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    return faults::allocate(size, 0);
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return faults::allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return faults::allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { faults::release(block); }
void operator delete[](void* block) noexcept { faults::release(block); }
void operator delete(void* block, std::size_t) noexcept { faults::release(block); }
void operator delete[](void* block, std::size_t) noexcept { faults::release(block); }
void operator delete(void* block, std::align_val_t) noexcept { faults::release(block); }
void operator delete[](void* block, std::align_val_t) noexcept { faults::release(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
    faults::release(block);
}
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept {
    faults::release(block);
}
