// nothing is the program that the exec workload starts.
int main(void)
{
	return 0;
}
